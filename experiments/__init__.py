"""How a config becomes an experiment: one file per kind, one line in the table."""

import importlib

from nfml_jax.names import look_up
from nfml_jax.training.experiment import Experiment

EXPERIMENTS = {
    "margin": "experiments.margin:MarginExperiment",
    "identities": "experiments.identities:IdentitiesExperiment",
    "density": "experiments.density:DensityExperiment",
    "pairs": "experiments.pairs:PairsExperiment",
    "conditional": "experiments.conditional:ConditionalExperiment",
    "bridge": "experiments.bridge:BridgeExperiment",
    "variational": "experiments.variational:VariationalExperiment",
    "metric": "experiments.metric:MetricExperiment",
}


def make_experiment(config: dict) -> Experiment:
    """The experiment that `config["experiment"]` names, imported only now."""
    module, name = look_up(EXPERIMENTS, config["experiment"], "experiment").split(":")
    return getattr(importlib.import_module(module), name)(config)
