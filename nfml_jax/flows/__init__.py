"""Densities: a bijector and a base distribution, and recipes by name.

flow = flows.rq_nsf(event_dim=6, layers=10, hidden=256)
variables = flow.init(key, x)
flow.apply(variables, x, method="log_prob")
"""

from nfml_jax.flows.flow import Flow, FlowDistribution
from nfml_jax.flows.recipes import *  # noqa: F403
from nfml_jax.flows.recipes import RECIPES, make_flow

__all__ = ["RECIPES", "Flow", "FlowDistribution", "make_flow", *RECIPES]
