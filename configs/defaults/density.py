"""Defaults of flows: maximum likelihood of vectors, and training without data."""

from ml_collections import ConfigDict

from configs.defaults.training import training


def density(name: str, recipe: str, **flow) -> ConfigDict:
    """Maximum likelihood of vectors under one of `nfml_jax.flows.RECIPES`."""
    config = training(name, "density")
    config.update(
        {
            "data": {"name": "circles", "seed": 0, "standardize": True},
            "flow": {"recipe": recipe, **flow},
            "report": {"samples": 2000},  # drawn for figures and two-sample tests
        }
    )
    config.train.batch_size = 512
    config.train.log_every = "200 steps"
    config.train.evaluate_every = "1000 steps"
    config.train.checkpoint_every = "1000 steps"
    config.train.steps_per_dispatch = 200
    config.train.report = "best"
    config.optimizer.clip_norm = 5.0
    return config


def two_circles(config: ConfigDict) -> None:
    """Set the data and training of a tutorial: 1,000 points, 5,000 steps of all."""
    config.data.update({"name": "circles", "train": 1000})
    config.train.batch_size = 1000
    config.train.total = "5000 steps"
    config.optimizer.learning_rate = 1e-2
    config.optimizer.schedule = "constant"
    config.optimizer.warmup = None
    config.optimizer.clip_norm = None


def variational(name: str, recipe: str, **flow) -> ConfigDict:
    """Return a flow on a density of the plane that lacks its normalizer."""
    config = training(name, "variational")
    config.update(
        {
            "energy": {"name": "u1"},  # u1 to u4 of Rezende and Mohamed (2015)
            # The fast direction of these recipes draws, which training does at every
            # step.
            "flow": {"recipe": recipe, "fast": "sample", **flow},
            "objective": {
                # reverse_kl, path_gradient, forward_kl or alpha_divergence
                "name": "reverse_kl",
                "alpha": 0.5,  # only for alpha_divergence
            },
            # The log-density is multiplied by β, which rises to 1; steps None: off.
            "annealing": {"start": 0.01, "steps": 2000},
            "report": {
                "draws": 100_000,  # draws of the flow for the report
                "validation": 4096,  # and for each validation
                "chains": 4096,  # chains of annealed importance sampling
                "cells": 320,  # cells along either side of the grid for KL(p ‖ q)
                "samples": 2000,  # points in the figures
            },
        }
    )
    config.train.batch_size = 256
    config.train.total = "5000 steps"
    config.train.log_every = "200 steps"
    config.train.evaluate_every = "1000 steps"
    config.train.checkpoint_every = "2500 steps"
    config.train.steps_per_dispatch = 200
    config.optimizer.clip_norm = 5.0
    return config
