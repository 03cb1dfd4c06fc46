"""Linear maps y = W x + b, with W in factors that give its determinant directly.

The factors are LU as in Glow (Kingma & Dhariwal 2018) and neural spline flows (Durkan
et al. 2019), QR and SVD by reflections (Tomczak & Welling 2016; Hoogeboom et al. 2019),
and the matrix exponential.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from nfml_jax.bijectors.amortized import amortized
from nfml_jax.bijectors.bijector import Bijector
from nfml_jax.bijectors.matrices import (
    bounded,
    exponential,
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


class Linear(Bijector):
    """y = W x + b, with W = A diag(s) B and |det A| = |det B| = 1.

    So log |det W| = Σ log s. Each log s lies within ±`max_log_scale`, so that W is
    never singular. A and B are learned numbers. So are log s and b; if there is a
    `conditioner`, its output for the context is added to them. All linear maps start
    as the identity.
    """

    conditioner: nn.Module | None = None
    max_log_scale: float = 5.0

    def check_options(self):
        check_kind(self, nn.Module, optional=True, conditioner=self.conditioner)
        check_number(self, above=0.0, max_log_scale=self.max_log_scale)

    def forward_and_log_det(self, x, context=None):
        weights, log_scale, shift = self._parameters(x, context)
        y = self.times(weights, jnp.exp(log_scale), x) + shift
        log_det = self.log_det(weights, log_scale)
        return y, jnp.broadcast_to(log_det, y.shape[:-1])

    def inverse_and_log_det(self, y, context=None):
        weights, log_scale, shift = self._parameters(y, context)
        x = self.solve(weights, jnp.exp(log_scale), y - shift)
        log_det = -self.log_det(weights, log_scale)
        return x, jnp.broadcast_to(log_det, x.shape[:-1])

    def shapes(self, size: int) -> dict:
        """Return the initializer and shape of each parameter of A and B, by name."""
        raise NotImplementedError

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
        weights = {
            name: self.param(name, init, shape).astype(dtype)
            for name, (init, shape) in self.shapes(size).items()
        }
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


class MatrixExponential(Linear):
    """W = exp(A), so that log det W = tr A and W⁻¹ = exp(-A).

    A is scaled so that its Frobenius norm is below `max_log_scale`, which is at most 8.
    Only b depends on the context.

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
