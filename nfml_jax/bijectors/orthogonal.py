"""Rotations y = Q x, which preserve volume: by reflections, or by Cayley's map.

The Householder flow is that of Tomczak & Welling 2016.
"""

from typing import ClassVar

import flax.linen as nn
import jax.numpy as jnp

from nfml_jax.bijectors.amortized import amortized
from nfml_jax.bijectors.bijector import OnLastAxis, zero_log_det
from nfml_jax.bijectors.matrices import multiply, normal_pairs, reflect
from nfml_jax.ops.checks import check_integer


class Householder(OnLastAxis):
    """y = Q x with Q a product of reflections.

    Attributes:
      reflections: Their number. The default is the number of coordinates, rounded up to
        an even number. Then Q starts as the identity and can be any rotation.
      conditioner: A module, or None. Its output for the context is added to the
        vectors of the reflections.

    >>> import jax
    >>> layer, x = Householder(), jnp.array([[0.0, 3.0, 4.0]])
    >>> variables = layer.init(jax.random.key(0), x)
    >>> y, log_det = layer.apply(variables, x)
    >>> round(float(jnp.linalg.norm(y)), 3), log_det.tolist()
    (5.0, [0.0])
    """

    preserves_volume: ClassVar[bool] = True

    reflections: int | None = None
    conditioner: nn.Module | None = None

    def check_options(self):
        check_integer(self, 1, optional=True, reflections=self.reflections)

    def forward_and_log_det(self, x, context=None):
        return self._rotate(x, context, transpose=False)

    def inverse_and_log_det(self, y, context=None):
        return self._rotate(y, context, transpose=True)

    @nn.compact
    def _rotate(self, x, context, *, transpose):
        size = x.shape[-1]
        shape = self.reflections or size + size % 2, size
        given = amortized(self, context, x.dtype, vectors=(normal_pairs, shape))
        y = reflect(given["vectors"], x, transpose=transpose)
        return y, zero_log_det(y)


class Orthogonal(OnLastAxis):
    """y = Q x with Q = (I - A)⁻¹ (I + A) and A skew-symmetric, Cayley's map.

    Q can be every rotation that rotates no direction by 180°. Unlike a product of
    reflections, each Q corresponds to one A only.

    >>> import jax
    >>> layer, x = Orthogonal(), jnp.array([[0.0, 3.0, 4.0]])
    >>> variables = layer.init(jax.random.key(0), x)
    >>> y, log_det = layer.apply(variables, x)  # a new layer is the identity
    >>> y.tolist(), log_det.tolist()
    ([[0.0, 3.0, 4.0]], [0.0])
    """

    preserves_volume: ClassVar[bool] = True

    def forward_and_log_det(self, x, context=None):
        return multiply(self._rotation(x), x), zero_log_det(x)

    def inverse_and_log_det(self, y, context=None):
        return multiply(self._rotation(y).T, y), zero_log_det(y)

    @nn.compact
    def _rotation(self, x):
        shape = x.shape[-1], x.shape[-1]
        given = self.param("skew", nn.initializers.zeros, shape).astype(x.dtype)
        skew = jnp.triu(given, 1) - jnp.triu(given, 1).T
        unit = jnp.eye(x.shape[-1], dtype=x.dtype)
        return jnp.linalg.solve(unit - skew, unit + skew)
