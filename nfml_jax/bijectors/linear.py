"""Linear maps y = W x + b, with W in factors that give its determinant directly.

The factors are LU as in Glow (Kingma & Dhariwal 2018) and neural spline flows (Durkan
et al. 2019), QR and SVD by reflections (Tomczak & Welling 2016; Hoogeboom et al. 2019),
and the matrix exponential.
"""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp

from nfml_jax.bijectors.amortized import amortized
from nfml_jax.bijectors.bijector import OnLastAxis
from nfml_jax.bijectors.matrices import (
    bounded,
    multiply,
    normal_pairs,
    reflect,
    solve_triangular,
    unit_lower,
    unit_upper,
)
from nfml_jax.ops.checks import check_integer, check_kind, check_number

Array = jax.Array
ZEROS = nn.initializers.zeros


class Linear(OnLastAxis):
    """y = W x + b, with W = A diag(s) B and |det A| = |det B| = 1.

    So log |det W| = Σ log s. Each log s lies within ±`max_log_scale`, so that W is
    never singular. A and B are learned numbers. So are log s and b; if there is a
    `conditioner`, its output for the context is added to them. All linear maps start
    as the identity.

    On images (`event_ndim=3`) this is a 1×1 convolution, as in Glow. W is computed once
    there, and not its factors' products with every pixel.
    """

    conditioner: nn.Module | None = None
    max_log_scale: float = 5.0

    def check_options(self):
        check_kind(self, nn.Module, optional=True, conditioner=self.conditioner)
        check_number(self, above=0.0, max_log_scale=self.max_log_scale)

    def forward_and_log_det(self, x, context=None):
        weights, log_scale, shift = self._parameters(x, context)
        y = self._product(self.times, weights, jnp.exp(log_scale), x) + shift
        log_det = self.log_det(weights, log_scale)
        return y, jnp.broadcast_to(log_det, y.shape[:-1])

    def inverse_and_log_det(self, y, context=None):
        weights, log_scale, shift = self._parameters(y, context)
        x = self._product(self.solve, weights, jnp.exp(log_scale), y - shift)
        log_det = -self.log_det(weights, log_scale)
        return x, jnp.broadcast_to(log_det, x.shape[:-1])

    @nn.nowrap
    def log_det_limit(self, shape):
        *places, size = shape
        return math.prod(places) * self.scales(size) * self.max_log_scale

    def _product(self, times, weights, scale, x):
        """Return `times(weights, scale, x)`, W or W⁻¹ times x."""
        if self.event_ndim == 1 or scale.ndim > 1:
            return times(weights, scale, x)
        unit = jnp.eye(x.shape[-1], dtype=x.dtype)
        return multiply(times(weights, scale, unit).T, x)

    def shapes(self, size: int) -> dict:
        """Return the initializer and shape of each parameter of A and B, by name."""
        raise NotImplementedError

    def weights(self, size: int, dtype) -> dict[str, Array]:
        """Return the numbers of A and B by name."""
        return {
            name: self.param(name, init, shape).astype(dtype)
            for name, (init, shape) in self.shapes(size).items()
        }

    def scales(self, size: int) -> int:
        """Return the number of scales s."""
        return size

    def times(self, weights: dict[str, Array], scale: Array, x: Array) -> Array:
        """Return W x."""
        raise NotImplementedError

    def solve(self, weights: dict[str, Array], scale: Array, y: Array) -> Array:
        """Return W⁻¹ y."""
        raise NotImplementedError

    def log_det(self, weights: dict[str, Array], log_scale: Array) -> Array:
        """Return log |det W|."""
        return log_scale.sum(-1)

    @nn.compact
    def _parameters(self, x, context):
        size, dtype = x.shape[-1], x.dtype
        weights = self.weights(size, dtype)
        rest = amortized(
            self,
            context,
            dtype,
            log_scale=(ZEROS, (self.scales(size),)),
            shift=(ZEROS, (size,)),
        )
        return weights, bounded(rest["log_scale"], self.max_log_scale), rest["shift"]


class LU(Linear):
    """W = L diag(s) U with unit triangular L and U.

    These are the matrices with det W > 0 that need no pivots. A `Permutation` before
    this layer gives other matrices, as in neural spline flows. Both triangles are
    stored in one matrix `[D, D]`, whose diagonal is not used.

    >>> layer, x = LU(), jnp.array([[0.0, 0.5, 1.0]])
    >>> params = layer.init(jax.random.key(0), x)["params"]  # the identity
    >>> params = params | {"shift": jnp.ones(3)}
    >>> y, log_det = layer.apply({"params": params}, x)
    >>> y.tolist(), log_det.tolist()
    ([[1.0, 1.5, 2.0]], [0.0])
    """

    def shapes(self, size):
        return {"triangles": (ZEROS, (size, size))}

    def times(self, weights, scale, x):
        x = scale * multiply(unit_upper(weights["triangles"]), x)
        return multiply(unit_lower(weights["triangles"]), x)

    def solve(self, weights, scale, y):
        y = solve_triangular(unit_lower(weights["triangles"]), y, lower=True)
        return solve_triangular(unit_upper(weights["triangles"]), y / scale)


class QR(Linear):
    """W = Q diag(s) U with Q a product of reflections and U unit upper triangular.

    `reflections` is their number. The default is the number of coordinates, rounded up
    to an even number. Then Q can be any rotation, and starts as the identity, which
    takes pairs of reflections.

    >>> layer, x = QR(), jnp.array([[0.0, 0.5, 1.0]])
    >>> variables = layer.init(jax.random.key(0), x)
    >>> variables["params"]["vectors"].shape
    (4, 3)
    >>> y, log_det = layer.apply(variables, x)
    >>> y.shape, log_det.tolist()
    ((1, 3), [0.0])
    """

    reflections: int | None = None

    def check_options(self):
        super().check_options()
        check_integer(self, 1, optional=True, reflections=self.reflections)

    def shapes(self, size):
        count = self.reflections or size + size % 2
        return {
            "vectors": (normal_pairs, (count, size)),
            "triangle": (ZEROS, (size, size)),
        }

    def times(self, weights, scale, x):
        x = scale * multiply(unit_upper(weights["triangle"]), x)
        return reflect(weights["vectors"], x)

    def solve(self, weights, scale, y):
        y = reflect(weights["vectors"], y, transpose=True)
        return solve_triangular(unit_upper(weights["triangle"]), y / scale)


class SVD(Linear):
    """W = P diag(s) Q with P and Q products of reflections.

    `reflections` is their number in each, with the default of `QR`. The scales are the
    singular values of W, so that its condition number is below exp(2 `max_log_scale`).

    >>> layer, x = SVD(), jnp.array([[0.0, 0.5, 1.0]])
    >>> params = layer.init(jax.random.key(0), x)["params"]
    >>> params = params | {"log_scale": jnp.array([0.5, 0.0, -0.25])}
    >>> y, log_det = layer.apply({"params": params}, x)
    >>> round(float(log_det[0]), 3)
    0.249
    """

    reflections: int | None = None

    def check_options(self):
        super().check_options()
        check_integer(self, 1, optional=True, reflections=self.reflections)

    def shapes(self, size):
        vectors = normal_pairs, (self.reflections or size + size % 2, size)
        return {"left": vectors, "right": vectors}

    def times(self, weights, scale, x):
        return reflect(weights["left"], scale * reflect(weights["right"], x))

    def solve(self, weights, scale, y):
        y = reflect(weights["left"], y, transpose=True)
        return reflect(weights["right"], y / scale, transpose=True)
