"""Experiments by the names that configs give: one file per kind, one line each."""

import importlib

from nfml_jax.errors import UserError
from nfml_jax.ops.names import look_up
from nfml_jax.training.experiment import Experiment

# Name -> the import path of the class, and the sections of a config that it reads.
EXPERIMENTS = {
    "margin": ("experiments.margin:MarginExperiment", "data augment encoder head"),
    "identities": (
        "experiments.identities:IdentitiesExperiment",
        "identities encoder head report",
    ),
    "density": ("experiments.density:DensityExperiment", "data flow report"),
    "pairs": (
        "experiments.pairs:PairsExperiment",
        "data sampler augment encoder objective",
    ),
    "conditional": (
        "experiments.conditional:ConditionalExperiment",
        "data flow report",
    ),
    "bridge": ("experiments.bridge:BridgeExperiment", "data flow report"),
    "variational": (
        "experiments.variational:VariationalExperiment",
        "energy flow objective annealing report",
    ),
    "metric": ("experiments.metric:MetricExperiment", "data metric loss report"),
}


def make_experiment(config: dict) -> Experiment:
    """Make the experiment that `config["experiment"]` names, imported when needed.

    Raises UserError for an unknown name, or for a missing section of the config.
    """
    name = config.get("experiment")
    where, sections = look_up(EXPERIMENTS, name, "experiment")
    lacking = [section for section in sections.split() if section not in config]
    if lacking:
        raise UserError(
            f"experiment {name!r} reads {' and '.join(lacking)}, which this config "
            "doesn't have; choose a config of that experiment, such as "
            "configs/folder.py:triplet for pairs of your own pictures."
        )
    from experiments.checks import check_experiment  # with all packages that it needs

    check_experiment(config)
    module, kind = where.split(":")
    return getattr(importlib.import_module(module), kind)(config)
