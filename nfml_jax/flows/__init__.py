"""Densities: a bijector and a base distribution, and recipes by name.

`RECIPES` holds the architectures of the papers and `BASES` the base distributions, by
the names that configs use.

>>> import jax
>>> import jax.numpy as jnp
>>> flow = realnvp(event_dim=2, layers=2, hidden=(8,))
>>> x = jnp.zeros((5, 2))
>>> variables = flow.init(jax.random.key(0), x)
>>> flow.apply(variables, x, method="log_prob").shape
(5,)
"""

from nfml_jax.flows.flow import Flow
from nfml_jax.flows.matching import flow_matching_loss
from nfml_jax.flows.numpyro import as_numpyro
from nfml_jax.flows.quantized import Quantized
from nfml_jax.flows.recipes import *  # noqa: F403
from nfml_jax.flows.recipes import (
    BASES,
    IMAGE_RECIPES,
    RECIPES,
    glow,
    learned_noise,
    make_flow,
    make_image_flow,
    pixel_cnn,
)
from nfml_jax.ops.extras import import_extra

__all__ = [
    "BASES",
    "IMAGE_RECIPES",
    "RECIPES",
    "Flow",
    "FlowDistribution",  # noqa: F405
    "Quantized",
    "as_numpyro",
    "flow_matching_loss",
    "glow",
    "learned_noise",
    "make_flow",
    "make_image_flow",
    "pixel_cnn",
    *RECIPES,
]


def __getattr__(name):
    # It needs distrax, which takes seconds to import.
    if name == "FlowDistribution":
        module = import_extra("nfml_jax.flows.distributions", f"{__name__}.{name}")
        return module.FlowDistribution
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
