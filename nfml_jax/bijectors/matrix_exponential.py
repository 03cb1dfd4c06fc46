"""Linear maps by the matrix exponential (Hoogeboom et al. 2020)."""

import math

import flax.linen as nn
import jax.numpy as jnp

from nfml_jax.bijectors.linear import ZEROS, Linear
from nfml_jax.bijectors.matrices import exponential, multiply
from nfml_jax.ops.checks import check_number


class MatrixExponential(Linear):
    """W = exp(A), so that log det W = tr A and W⁻¹ = exp(-A).

    A is scaled so that its Frobenius norm is below `max_log_scale`, which is at most 8.
    Only b depends on the context.

    >>> import jax
    >>> layer, x = MatrixExponential(), jnp.array([[0.0, 0.5, 1.0]])
    >>> variables = layer.init(jax.random.key(0), x)
    >>> y, log_det = layer.apply(variables, x)  # a new layer is the identity
    >>> y.tolist(), log_det.tolist()
    ([[0.0, 0.5, 1.0]], [0.0])
    """

    def check_options(self):
        super().check_options()
        check_number(self, high=8.0, max_log_scale=self.max_log_scale)

    def shapes(self, size):
        return {"exponent": (ZEROS, (size, size))}

    def scales(self, size):
        return 0

    @nn.nowrap
    def log_det_limit(self, shape):
        # |tr A| is at most √C times the Frobenius norm.
        *places, size = shape
        return math.prod(places) * math.sqrt(size) * self.max_log_scale

    def times(self, weights, scale, x):
        return multiply(exponential(self._exponent(weights)), x)

    def solve(self, weights, scale, y):
        return multiply(exponential(-self._exponent(weights)), y)

    def log_det(self, weights, log_scale):
        return jnp.trace(self._exponent(weights))

    def _exponent(self, weights):
        exponent = weights["exponent"]
        square = (exponent**2).sum() / self.max_log_scale**2
        return exponent / jnp.sqrt(1 + square)
