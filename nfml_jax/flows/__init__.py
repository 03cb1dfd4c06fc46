"""Densities: a bijector and a base distribution, and recipes by name.

flow = flows.rq_nsf(event_dim=6, layers=10, hidden=256)
variables = flow.init(key, x)
flow.apply(variables, x, method="log_prob")
"""

from nfml_jax.flows.flow import Flow, FlowDistribution
from nfml_jax.flows.matching import flow_matching_loss
from nfml_jax.flows.numpyro import as_numpyro
from nfml_jax.flows.recipes import *  # noqa: F403
from nfml_jax.flows.recipes import BASES, RECIPES, make_flow

__all__ = [
    "BASES",
    "RECIPES",
    "Flow",
    "FlowDistribution",
    "as_numpyro",
    "flow_matching_loss",
    "make_flow",
    *RECIPES,
]
