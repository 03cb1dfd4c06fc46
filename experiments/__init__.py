"""Experiments by the names that configs give: one file per kind, one line each."""

import importlib
from typing import TYPE_CHECKING

from nfml_jax.ops.names import look_up

if TYPE_CHECKING:
    from nfml_jax.training.experiment import Experiment

# Name -> the import path of the class; `experiments.settings.SETTINGS` has the sections
# of a config that it reads.
EXPERIMENTS = {
    "margin": "experiments.margin:MarginExperiment",
    "identities": "experiments.identities:IdentitiesExperiment",
    "density": "experiments.density:DensityExperiment",
    "pairs": "experiments.pairs:PairsExperiment",
    "conditional": "experiments.conditional:ConditionalExperiment",
    "images": "experiments.images:ImagesExperiment",
    "bridge": "experiments.bridge:BridgeExperiment",
    "variational": "experiments.variational:VariationalExperiment",
    "metric": "experiments.metric:MetricExperiment",
}


def make_experiment(config: dict) -> "Experiment":
    """Make the experiment that `config["experiment"]` names, imported when needed.

    Raises UserError for an unknown name, or for a config that it can't read.
    """
    where = look_up(EXPERIMENTS, config.get("experiment"), "experiment")
    from experiments.checks import check_experiment  # with all packages that it needs

    check_experiment(config)
    module, kind = where.split(":")
    return getattr(importlib.import_module(module), kind)(config)
