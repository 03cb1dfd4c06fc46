"""Scalar transforms: increasing maps of an interval, pure functions of parameters."""

from nfml_jax.bijectors.transforms.affine import Additive, Affine
from nfml_jax.bijectors.transforms.polynomial_splines import (
    CubicSpline,
    LinearSpline,
    QuadraticSpline,
)
from nfml_jax.bijectors.transforms.rational_quadratic import RationalQuadratic
from nfml_jax.bijectors.transforms.transform import ScalarTransform

# Every family by its name in configs: what to add a new one to.
TRANSFORMS = {
    "affine": Affine,
    "additive": Additive,
    "rational_quadratic": RationalQuadratic,
    "linear_spline": LinearSpline,
    "quadratic_spline": QuadraticSpline,
    "cubic_spline": CubicSpline,
}

__all__ = ["TRANSFORMS", "ScalarTransform", *(t.__name__ for t in TRANSFORMS.values())]
