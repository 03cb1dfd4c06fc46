"""Rotations y = Q x, which keep volume: by reflections, or by Cayley's map.

The Householder flow is Tomczak & Welling's (2016).
"""

import flax.linen as nn
import jax.numpy as jnp

from nfml_jax.bijectors.amortised import amortised
from nfml_jax.bijectors.bijector import Bijector, zero_log_det
from nfml_jax.bijectors.matrices import multiply, normal_pairs, reflect
from nfml_jax.ops.checks import check_integer


class Householder(Bijector):
    """Q a product of `reflections`, whose vectors may follow the context.

    By default as many as there are coordinates, rounded up to an even number: then
    Q starts as the identity and can become any rotation.
    """

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
        given = amortised(self, context, x.dtype, vectors=(normal_pairs, shape))
        y = reflect(given["vectors"], x, transpose=transpose)
        return y, zero_log_det(y)


class Orthogonal(Bijector):
    """Q = (I - A)⁻¹ (I + A) with A skew, Cayley's map.

    Every rotation that turns no direction by 180°, and unlike with reflections each by
    one A only.
    """

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
