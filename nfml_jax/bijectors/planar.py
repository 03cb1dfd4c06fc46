"""Planar and radial flows (Rezende & Mohamed 2015, section 4.1).

As posteriors they are amortised: with a `conditioner`, all parameters follow the
context. Both start as the identity, whatever the direction they could bend in.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from nfml_jax.bijectors.amortised import amortised
from nfml_jax.bijectors.bijector import Bijector
from nfml_jax.bijectors.matrices import bounded
from nfml_jax.bijectors.transforms.numerical_inverse import increasing_inverse

Array = jax.Array

# The least slope along the one direction that is bent: the inverse's greatest is 1000.
MIN_SLOPE = 1e-3


class Planar(Bijector):
    """y = x + u tanh(wᵀx + b), invertible as wᵀu > -1.

    The part of u along w is moved for that, as in the paper's appendix A.1, though so
    that u = 0 stays zero. The inverse is numerical: wᵀy = wᵀx + wᵀu tanh(wᵀx + b) is
    one increasing equation in one unknown.
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
        """u and w `[..., D]`, b `[...]`."""
        size = x.shape[-1]
        zeros, normal = nn.initializers.zeros, nn.initializers.normal(1 / size**0.5)
        given = amortised(
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


class Radial(Bijector):
    """y = x + β (x - x₀) / (α + ‖x - x₀‖), with α > 0 and β > -α.

    log det = (D - 1) log(1 + β h) + log(1 + α β h²), h = 1 / (α + ‖x - x₀‖). The radius
    of the inverse solves a quadratic equation.
    """

    conditioner: nn.Module | None = None

    def forward_and_log_det(self, x, context=None):
        centre, alpha, ratio = self._parameters(x, context)
        radius = _norm(x - centre)
        scale, log_det = _radial(alpha, ratio, radius, x.shape[-1])
        return centre + scale[..., None] * (x - centre), log_det

    def inverse_and_log_det(self, y, context=None):
        centre, alpha, ratio = self._parameters(y, context)
        # r² - (‖y - x₀‖ - α - β) r - α ‖y - x₀‖ = 0, by the form that cancels nothing.
        after = _norm(y - centre)
        b = after - alpha * (1 + ratio)
        root = jnp.sqrt(b**2 + 4 * alpha * after)
        small = 2 * alpha * after / jnp.where(b > 0, 1, root - b)
        radius = jnp.where(b > 0, (b + root) / 2, small)
        scale, log_det = _radial(alpha, ratio, radius, y.shape[-1])
        return centre + (y - centre) / scale[..., None], -log_det

    @nn.compact
    def _parameters(self, x, context):
        """x₀ `[..., D]`, α and β / α `[...]`."""
        zeros = nn.initializers.zeros
        given = amortised(
            self,
            context,
            x.dtype,
            centre=(nn.initializers.normal(1.0), (x.shape[-1],)),
            log_alpha=(zeros, ()),
            ratio=(zeros, ()),
        )
        alpha = jnp.exp(bounded(given["log_alpha"], 5.0))
        return given["centre"], alpha, strength_above(given["ratio"])


def _radial(alpha, ratio, radius, size):
    """The factor by which the radius grows, and the log-determinant."""
    near = alpha / (alpha + radius)
    log_det = (size - 1) * jnp.log1p(ratio * near) + jnp.log1p(ratio * near**2)
    return 1 + ratio * near, log_det


def _norm(x):
    """The length `[...]` of vectors, with a gradient (of zero) at zero."""
    square = (x**2).sum(-1)
    some = square > 0
    return jnp.where(some, jnp.sqrt(jnp.where(some, square, 1)), 0)


def strength_above(raw: Array) -> Array:
    """Any number as one above -1 (by `MIN_SLOPE`); zero as zero."""
    at_zero = jnp.log(jnp.expm1(jnp.asarray(1 - MIN_SLOPE, raw.dtype)))
    return jax.nn.softplus(raw + at_zero) - (1 - MIN_SLOPE)


def bend(strength: Array, x: Array) -> tuple[Array, Array]:
    """x + a tanh(x), a = `strength` > -1, and the log of its slope."""
    tanh = jnp.tanh(x)
    return x + strength * tanh, jnp.log1p(strength * (1 - tanh**2))
