"""Planar and radial flows (Rezende & Mohamed 2015, section 4.1).

As posteriors they are amortized: with a `conditioner`, all parameters depend on the
context. Both start as the identity.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from nfml_jax.bijectors.amortized import amortized
from nfml_jax.bijectors.bijector import OnLastAxis
from nfml_jax.bijectors.matrices import bounded
from nfml_jax.bijectors.transforms.numerical_inverse import increasing_inverse

Array = jax.Array

# The least slope along the direction w; that of the inverse is at most 1000.
MIN_SLOPE = 1e-3


class Planar(OnLastAxis):
    """y = x + u tanh(wᵀx + b), which is invertible as wᵀu > -1.

    To ensure this, the part of u along w is shifted, as in the paper's appendix A.1,
    but such that u = 0 stays zero. The inverse is numerical: wᵀy = wᵀx + wᵀu tanh(wᵀx +
    b) is one increasing equation in one unknown.

    >>> layer, x = Planar(), jnp.array([[0.0, 0.5, 1.0]])
    >>> variables = layer.init(jax.random.key(0), x)
    >>> y, log_det = layer.apply(variables, x)  # a new layer is the identity
    >>> y.round(3).tolist(), log_det.round(3).tolist()
    ([[0.0, 0.5, 1.0]], [0.0])
    """

    conditioner: nn.Module | None = None

    def forward_and_log_det(self, x, context=None):
        u, w, b = self._parameters(x, context)
        strength = (u * w).sum(-1)
        at = (w * x).sum(-1) + b
        y = x + u * jnp.tanh(at)[..., None]
        return y, bend(strength, at)[1]

    def inverse_and_log_det(self, y, context=None):
        u, w, b = self._parameters(y, context)
        strength = (u * w).sum(-1)
        at = increasing_inverse(bend, strength, (w * y).sum(-1) + b)
        x = y - u * jnp.tanh(at)[..., None]
        return x, -bend(strength, at)[1]

    @nn.compact
    def _parameters(self, x, context):
        """Return u and w `[..., D]`, and b `[...]`."""
        size = x.shape[-1]
        zeros, normal = nn.initializers.zeros, nn.initializers.normal(1 / size**0.5)
        given = amortized(
            self,
            context,
            x.dtype,
            u=(zeros, (size,)),
            w=(normal, (size,)),
            b=(zeros, ()),
        )
        u, w = given["u"], given["w"]
        square = (w**2).sum(-1, keepdims=True)
        some = square > jnp.finfo(w.dtype).tiny
        along = (u * w).sum(-1, keepdims=True)
        move = (strength_above(along) - along) / jnp.where(some, square, 1)
        return u + jnp.where(some, move, 0) * w, w, given["b"]


class Radial(OnLastAxis):
    """y = x + β (x - x₀) / (α + ‖x - x₀‖), with α > 0 and β > -α.

    The log-determinant is (D - 1) log(1 + β h) + log(1 + α β h²), where h = 1 / (α +
    ‖x - x₀‖). The radius of the inverse solves a quadratic equation.

    >>> layer, x = Radial(), jnp.array([[0.0, 0.5, 1.0]])
    >>> variables = layer.init(jax.random.key(0), x)
    >>> y, log_det = layer.apply(variables, x)  # a new layer is the identity
    >>> y.round(3).tolist(), log_det.round(3).tolist()
    ([[0.0, 0.5, 1.0]], [0.0])
    """

    conditioner: nn.Module | None = None

    def forward_and_log_det(self, x, context=None):
        center, alpha, ratio = self._parameters(x, context)
        radius = _norm(x - center)
        scale, log_det = _radial(alpha, ratio, radius, x.shape[-1])
        return center + scale[..., None] * (x - center), log_det

    def inverse_and_log_det(self, y, context=None):
        center, alpha, ratio = self._parameters(y, context)
        # r² - (‖y - x₀‖ - α - β) r - α ‖y - x₀‖ = 0, in the form without cancellation.
        after = _norm(y - center)
        b = after - alpha * (1 + ratio)
        root = jnp.sqrt(b**2 + 4 * alpha * after)
        small = 2 * alpha * after / jnp.where(b > 0, 1, root - b)
        radius = jnp.where(b > 0, (b + root) / 2, small)
        scale, log_det = _radial(alpha, ratio, radius, y.shape[-1])
        return center + (y - center) / scale[..., None], -log_det

    @nn.compact
    def _parameters(self, x, context):
        """Return x₀ `[..., D]`, and α and β / α `[...]`."""
        zeros = nn.initializers.zeros
        given = amortized(
            self,
            context,
            x.dtype,
            centre=(nn.initializers.normal(1.0), (x.shape[-1],)),  # named so in runs
            log_alpha=(zeros, ()),
            ratio=(zeros, ()),
        )
        alpha = jnp.exp(bounded(given["log_alpha"], 5.0))
        return given["centre"], alpha, strength_above(given["ratio"])


def _radial(alpha, ratio, radius, size):
    """Return the factor by which the radius grows, and the log-determinant."""
    near = alpha / (alpha + radius)
    log_det = (size - 1) * jnp.log1p(ratio * near) + jnp.log1p(ratio * near**2)
    return 1 + ratio * near, log_det


def _norm(x):
    """Return the length `[...]` of vectors, whose gradient at zero is zero."""
    square = (x**2).sum(-1)
    some = square > 0
    return jnp.where(some, jnp.sqrt(jnp.where(some, square, 1)), 0)


def strength_above(raw: Array) -> Array:
    """Return a number above -1 + `MIN_SLOPE` for any number, and zero for zero."""
    at_zero = jnp.log(jnp.expm1(jnp.asarray(1 - MIN_SLOPE, raw.dtype)))
    return jax.nn.softplus(raw + at_zero) - (1 - MIN_SLOPE)


def bend(strength: Array, x: Array) -> tuple[Array, Array]:
    """Return x + a tanh(x), where a = `strength` > -1, and the log of its slope."""
    tanh = jnp.tanh(x)
    return x + strength * tanh, jnp.log1p(strength * (1 - tanh**2))
