"""Scalar transforms: increasing maps of an interval, as pure functions of parameters.

`TRANSFORMS` holds the families with parameters and `DOMAIN_MAPS` those without, by the
names that configs use. A new transform is a line in one of them.
"""

from nfml_jax.bijectors.transforms.affine import Additive, Affine
from nfml_jax.bijectors.transforms.deep_sigmoid import DeepSigmoid
from nfml_jax.bijectors.transforms.domains import (
    Exp,
    Loft,
    Logit,
    PixelSigmoid,
    Rescale,
    Sigmoid,
    Softplus,
    Tanh,
)
from nfml_jax.bijectors.transforms.mixtures import (
    MixtureOfGaussians,
    MixtureOfLogistics,
)
from nfml_jax.bijectors.transforms.monotone_network import MonotoneNetwork
from nfml_jax.bijectors.transforms.polynomial_splines import (
    CubicSpline,
    LinearSpline,
    QuadraticSpline,
)
from nfml_jax.bijectors.transforms.polynomials import Bernstein, SumOfSquares
from nfml_jax.bijectors.transforms.rational_quadratic import RationalQuadratic
from nfml_jax.bijectors.transforms.transform import ScalarTransform

TRANSFORMS = {
    "affine": Affine,
    "additive": Additive,
    "rational_quadratic": RationalQuadratic,
    "linear_spline": LinearSpline,
    "quadratic_spline": QuadraticSpline,
    "cubic_spline": CubicSpline,
    "mixture_of_logistics": MixtureOfLogistics,
    "mixture_of_gaussians": MixtureOfGaussians,
    "deep_sigmoid": DeepSigmoid,
    "monotone_network": MonotoneNetwork,
    "sum_of_squares": SumOfSquares,
    "bernstein": Bernstein,
}

DOMAIN_MAPS = {
    "exp": Exp,
    "softplus": Softplus,
    "sigmoid": Sigmoid,
    "logit": Logit,
    "pixel_sigmoid": PixelSigmoid,
    "tanh": Tanh,
    "rescale": Rescale,
    "loft": Loft,
}

__all__ = [
    "DOMAIN_MAPS",
    "TRANSFORMS",
    "ScalarTransform",
    *(t.__name__ for t in (TRANSFORMS | DOMAIN_MAPS).values()),
]
