"""Invertible maps: scalar transforms as pure functions, and the Flax modules around."""

from nfml_jax.bijectors.autoregressive import Autoregressive
from nfml_jax.bijectors.bijector import Bijector
from nfml_jax.bijectors.block_autoregressive import BlockAutoregressive
from nfml_jax.bijectors.combinators import Chain, Inverse, Stack
from nfml_jax.bijectors.continuous import Continuous
from nfml_jax.bijectors.coupling import Coupling
from nfml_jax.bijectors.dequantize import Dequantize
from nfml_jax.bijectors.elementwise import Elementwise
from nfml_jax.bijectors.linear import LU, QR, SVD, LowRank, MatrixExponential
from nfml_jax.bijectors.normalization import ActNorm, BatchNormalization, fit_statistics
from nfml_jax.bijectors.orthogonal import Householder, Orthogonal
from nfml_jax.bijectors.permutations import Permutation, Reverse
from nfml_jax.bijectors.planar import Planar, Radial
from nfml_jax.bijectors.residual import Residual, Roulette, TruncatedSeries
from nfml_jax.bijectors.spheres import OnCircles, PhaseShift, Sphere
from nfml_jax.bijectors.surjection import Surjection
from nfml_jax.bijectors.sylvester import Sylvester
from nfml_jax.bijectors.transforms import *  # noqa: F403
from nfml_jax.bijectors.transforms import __all__ as _transforms

__all__ = [
    "LU",
    "QR",
    "SVD",
    "ActNorm",
    "Autoregressive",
    "BatchNormalization",
    "Bijector",
    "BlockAutoregressive",
    "Chain",
    "Continuous",
    "Coupling",
    "Dequantize",
    "Elementwise",
    "Householder",
    "Inverse",
    "LowRank",
    "MatrixExponential",
    "OnCircles",
    "Orthogonal",
    "Permutation",
    "PhaseShift",
    "Planar",
    "Radial",
    "Residual",
    "Reverse",
    "Roulette",
    "TruncatedSeries",
    "Sphere",
    "Stack",
    "Surjection",
    "Sylvester",
    "fit_statistics",
    *_transforms,
]
