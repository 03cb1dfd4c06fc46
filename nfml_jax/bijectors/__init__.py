"""Invertible maps: scalar transforms as pure functions, and the Flax modules around."""

from nfml_jax.bijectors.bijector import Bijector
from nfml_jax.bijectors.combinators import Chain, Inverse, Stack
from nfml_jax.bijectors.coupling import Coupling
from nfml_jax.bijectors.elementwise import Elementwise
from nfml_jax.bijectors.permutations import Permutation, Reverse
from nfml_jax.bijectors.transforms import *  # noqa: F403
from nfml_jax.bijectors.transforms import __all__ as _transforms

__all__ = [
    "Bijector",
    "Chain",
    "Coupling",
    "Elementwise",
    "Inverse",
    "Permutation",
    "Reverse",
    "Stack",
    *_transforms,
]
