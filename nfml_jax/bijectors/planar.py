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
        return y, tanh_log_slope(strength, at)

    def inverse_and_log_det(self, y, context=None):
        u, w, b = self._parameters(y, context)
        strength = (u * w).sum(-1)
        at = tanh_inverse(strength, (w * y).sum(-1) + b)
        x = y - u * jnp.tanh(at)[..., None]
        return x, -tanh_log_slope(strength, at)

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


def tanh_log_slope(strength: Array, x: Array) -> Array:
    """log of the slope of x + a tanh(x), for a = `strength` > -1."""
    square = jnp.tanh(x) ** 2
    return jnp.log1p(strength * (1 - square))


@jax.custom_jvp
def tanh_inverse(strength: Array, y: Array) -> Array:
    """The x of y = x + a tanh(x), for a = `strength` > -1; gradients are implicit.

    Newton's steps, halving the bracket [y - |a|, y + |a|] where they would leave it.
    """
    strength, y = jnp.broadcast_arrays(strength, y)
    eps = jnp.finfo(y.dtype).eps

    def unfinished(state):
        count, moved, x, *_ = state
        return (count < 64) & jnp.any(jnp.abs(moved) > 2 * eps * (1 + jnp.abs(x)))

    def step(state):
        count, _, x, low, high = state
        tanh = jnp.tanh(x)
        excess = x + strength * tanh - y
        low, high = jnp.where(excess < 0, x, low), jnp.where(excess > 0, x, high)
        newton = x - excess / (1 + strength * (1 - tanh**2))
        inside = (newton >= low) & (newton <= high)
        to = jnp.where(inside, newton, (low + high) / 2)
        return count + 1, to - x, to, low, high

    bracket = y - jnp.abs(strength), y + jnp.abs(strength)
    start = 0, jnp.full_like(y, jnp.inf), y, *bracket
    return jax.lax.while_loop(unfinished, step, start)[2]


@tanh_inverse.defjvp
def _tanh_inverse_jvp(primals, tangents):
    (strength, y), (d_strength, d_y) = primals, tangents
    x = tanh_inverse(strength, y)
    tanh = jnp.tanh(x)
    return x, (d_y - tanh * d_strength) / (1 + strength * (1 - tanh**2))
