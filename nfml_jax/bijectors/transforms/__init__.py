"""Scalar transforms: increasing maps of an interval, pure functions of parameters."""

from nfml_jax.bijectors.transforms.affine import Additive, Affine
from nfml_jax.bijectors.transforms.transform import ScalarTransform

# Every family by its name in configs: what to add a new one to.
TRANSFORMS = {
    "affine": Affine,
    "additive": Additive,
}

__all__ = ["TRANSFORMS", "ScalarTransform", *(t.__name__ for t in TRANSFORMS.values())]
