"""Densities: a bijector and a base distribution, and recipes by name.

flow = flows.rq_nsf(event_dim=6, layers=10, hidden=256)
variables = flow.init(key, x)
flow.apply(variables, x, method="log_prob")
"""

from nfml_jax.flows.flow import Flow
from nfml_jax.flows.matching import flow_matching_loss
from nfml_jax.flows.numpyro import as_numpyro
from nfml_jax.flows.recipes import *  # noqa: F403
from nfml_jax.flows.recipes import BASES, RECIPES, make_flow

__all__ = [
    "BASES",
    "RECIPES",
    "Flow",
    "FlowDistribution",  # noqa: F405
    "as_numpyro",
    "flow_matching_loss",
    "make_flow",
    *RECIPES,
]


def __getattr__(name):
    # What needs distrax, which takes seconds to import.
    if name == "FlowDistribution":
        from nfml_jax.flows.distributions import FlowDistribution

        return FlowDistribution
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
