"""Scalar transforms: increasing maps of an interval, as pure functions of parameters.

To add a family, write a frozen dataclass on the contract of `ScalarTransform` in a file
here, import it, and give it a line in `TRANSFORMS`, or in `DOMAIN_MAPS` if it has no
parameters. Exports, documentation and laws follow.

>>> TRANSFORMS["rational_quadratic"](bins=4).num_params
11
"""

# `X as X` tells type checkers that a name is public, as in JAX's own packages.
from nfml_jax.bijectors.transforms.affine import Additive as Additive
from nfml_jax.bijectors.transforms.affine import Affine as Affine
from nfml_jax.bijectors.transforms.deep_sigmoid import DeepSigmoid as DeepSigmoid
from nfml_jax.bijectors.transforms.domains import Exp as Exp
from nfml_jax.bijectors.transforms.domains import Loft as Loft
from nfml_jax.bijectors.transforms.domains import Rescale as Rescale
from nfml_jax.bijectors.transforms.domains import Softplus as Softplus
from nfml_jax.bijectors.transforms.mixtures import (
    MixtureOfGaussians as MixtureOfGaussians,
)
from nfml_jax.bijectors.transforms.mixtures import (
    MixtureOfLogistics as MixtureOfLogistics,
)
from nfml_jax.bijectors.transforms.monotone_network import (
    MonotoneNetwork as MonotoneNetwork,
)
from nfml_jax.bijectors.transforms.polynomial_splines import CubicSpline as CubicSpline
from nfml_jax.bijectors.transforms.polynomial_splines import (
    LinearSpline as LinearSpline,
)
from nfml_jax.bijectors.transforms.polynomial_splines import (
    QuadraticSpline as QuadraticSpline,
)
from nfml_jax.bijectors.transforms.polynomials import Bernstein as Bernstein
from nfml_jax.bijectors.transforms.polynomials import SumOfSquares as SumOfSquares
from nfml_jax.bijectors.transforms.rational_quadratic import (
    RationalQuadratic as RationalQuadratic,
)
from nfml_jax.bijectors.transforms.sigmoids import Logit as Logit
from nfml_jax.bijectors.transforms.sigmoids import PixelSigmoid as PixelSigmoid
from nfml_jax.bijectors.transforms.sigmoids import Sigmoid as Sigmoid
from nfml_jax.bijectors.transforms.sigmoids import Tanh as Tanh
from nfml_jax.bijectors.transforms.transform import ScalarTransform as ScalarTransform

# Families of increasing maps; parameters choose one of them.
TRANSFORMS: dict[str, type[ScalarTransform]] = {
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

# Maps between the line and its parts, without parameters.
DOMAIN_MAPS: dict[str, type[ScalarTransform]] = {
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
