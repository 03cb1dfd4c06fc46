"""Invertible maps: scalar transforms as pure functions, and Flax modules of them.

All bijectors of `BIJECTORS` and all transforms of `TRANSFORMS` and `DOMAIN_MAPS` are
names of this package.

>>> import jax
>>> import jax.numpy as jnp
>>> bijector = Chain([Elementwise(RationalQuadratic()), Reverse()])
>>> variables = bijector.init(jax.random.key(0), jnp.zeros((1, 2)))
>>> y, log_det = bijector.apply(variables, jnp.array([[1.0, 2.0]]))
>>> y.tolist(), log_det.shape
([[2.0, 1.0]], (1,))
"""

from nfml_jax.bijectors import catalogue, catalogue_images, transforms
from nfml_jax.bijectors.catalogue import *  # noqa: F403  (names follow from BIJECTORS)
from nfml_jax.bijectors.catalogue_images import *  # noqa: F403
from nfml_jax.bijectors.dequantize import Dequantize
from nfml_jax.bijectors.normalization import fit_statistics
from nfml_jax.bijectors.padding import Crop, Pad
from nfml_jax.bijectors.residual import Roulette, TruncatedSeries
from nfml_jax.bijectors.spheres import OnCircles
from nfml_jax.bijectors.surjection import Surjection
from nfml_jax.bijectors.transforms import *  # noqa: F403

__all__ = ["Dequantize", "OnCircles", "Roulette", "Surjection", "TruncatedSeries"]
__all__ += ["Crop", "Pad", "fit_statistics"]
__all__ += catalogue.__all__
__all__ += catalogue_images.__all__
__all__ += transforms.__all__
