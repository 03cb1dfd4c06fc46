"""Dequantization: densities of pixels that have a finite number of levels.

A pixel x in {0, ..., K - 1} becomes y = (x + u) / K with a draw u in (0, 1), so that

    log P(x) ≥ E_q[log p(y) - log q(u | x)] - D log K

for D numbers in an event (Theis et al. 2016). With q uniform its term is zero; a
conditional flow as q makes the bound tighter (Ho et al. 2019, Flow++).
"""

import math

import jax
import jax.numpy as jnp
from jax.nn import sigmoid, softplus

from nfml_jax.bijectors.bijector import Bijector
from nfml_jax.bijectors.padding import Pad
from nfml_jax.bijectors.surjection import (
    Surjection,
    all_of_event,
    draws,
    event_size,
    event_sum,
)
from nfml_jax.errors import UserError
from nfml_jax.ops.broadcasting import broadcasting
from nfml_jax.ops.checks import check_integer, check_kind, refuse
from nfml_jax.ops.levels import MOST_LEVELS
from nfml_jax.ops.precision import at_least_float32

Array = jax.Array

# Bits of a float that carry x + u; what is left keeps the level safe from the rounding
# of the division and of a few maps that follow, such as the logit of pixels.
BITS = {jnp.dtype("float32"): 22, jnp.dtype("float64"): 50}


class Dequantize(Surjection):
    """x = ⌊K y⌋ forward; y = (x + u) / K back, with a draw u for each number.

    Without `noise` u is uniform, drawn from the centers of `noise_cells(levels)` equal
    cells. With `noise`, a bijector f given a context, u = sigmoid(f(v)) with v from the
    logistic distribution, up to a margin of half such a cell at either end; as an
    identity it gives uniform noise, too. Its context is x scaled to [-1, 1], beside the
    context that is given: a feature map for images. Whatever is drawn, ⌊K y⌋ is x, in
    float32 as well.

    With a `border`, a `Pad` of uniform noise, `noise` draws u for a greater image whose
    sides a squeeze divides, and the border is dropped. The term is -log q of all that
    is drawn: the model of the border is uniform noise, of density 1, so the bound stays
    one of the image alone. Forward draws a border by a `key`.

    `key` is one key, or one for each event `[*batch]`, whose draws then don't depend on
    the events beside it. Events are numbers 0, ..., K - 1 of any type. The term is
    minus infinity for an event with another number, and NaN for one with NaN. y and the
    result of forward are floats.

    >>> y, term = Dequantize(levels=4, event_ndim=1).apply(
    ...     {}, jnp.array([[0, 3]]), key=jax.random.key(0))
    >>> jnp.floor(4 * y), term  # -2 log 4
    (Array([[0., 3.]], dtype=float32), Array([-2.7725887], dtype=float32))
    """

    levels: int = 256
    noise: Bijector | None = None
    border: Pad | None = None

    def check_options(self):
        check_integer(self, 2, MOST_LEVELS, levels=self.levels)
        check_kind(self, Bijector, optional=True, noise=self.noise)
        check_kind(self, Pad, optional=True, border=self.border)
        if self.border is not None and self.border.noise != "uniform":
            refuse(self, "border.noise", self.border.noise, "uniform")
        check_integer(self, 1, event_ndim=self.event_ndim)

    @broadcasting
    def inverse_and_log_det(self, x, context=None, key=None):
        if key is None:
            raise UserError(
                "Dequantize draws noise and was given no key; pass key=KEY."
            )
        x = at_least_float32(x)
        least = 0.5 / noise_cells(self.levels, x.dtype)
        if self.noise is None:
            u, term = _uniform(key, x, least), jnp.zeros(())
        else:
            given = self._given(x, context)
            shape = given.shape[:-1] + x.shape[-1:]
            v = draws(key, shape, lambda k, s: jax.random.logistic(k, s, x.dtype))
            w, log_det = self.noise.forward_and_log_det(v, given)
            u = least + (1 - 2 * least) * sigmoid(w)
            term = event_sum(_log_slope(w, least) - _log_slope(v, 0.0), self.event_ndim)
            term = term + log_det
            if self.border is not None:
                u = self.border.forward(u)
        # Sums beyond a level's end by rounding are taken back.
        highest = x + jnp.asarray(1 - least, x.dtype)
        y = jnp.minimum(x + u, highest) / self.levels
        term = term - self._log_levels(x)
        valid = (x >= 0) & (x < self.levels) & (x == jnp.floor(x))
        term = jnp.where(all_of_event(valid, self.event_ndim), term, -jnp.inf)
        missing = ~all_of_event(~jnp.isnan(x), self.event_ndim)
        return y, jnp.where(missing, jnp.nan, term)

    @broadcasting
    def middle(self, x):
        return (at_least_float32(x) + 0.5) / self.levels

    @broadcasting
    def forward_and_log_det(self, z, context=None, key=None):
        z = at_least_float32(z)
        x = jnp.clip(jnp.floor(z * self.levels), 0, self.levels - 1)
        size = jnp.zeros(x.shape[: x.ndim - self.event_ndim], x.dtype)
        size = size + self._log_levels(x)
        if self.noise is None:
            return x, size
        least = 0.5 / noise_cells(self.levels, x.dtype)
        u = (z * self.levels - x - least) / (1 - 2 * least)
        tiny = jnp.finfo(x.dtype).eps
        u = jnp.clip(u, tiny, 1 - tiny)
        if self.border is not None:
            u = jnp.clip(self.border.inverse(u, key=key), tiny, 1 - tiny)
        w = jnp.log(u) - jnp.log1p(-u)
        v, log_det = self.noise.inverse_and_log_det(w, self._given(x, context))
        term = event_sum(_log_slope(v, 0.0) - _log_slope(w, least), self.event_ndim)
        return x, size + term + log_det

    def _log_levels(self, x):
        return event_size(x, self.event_ndim) * math.log(self.levels)

    def _given(self, x, context):
        """Return the context of the noise: x in [-1, 1], beside the given context."""
        given = 2 * x / (self.levels - 1) - 1
        if context is not None:
            context = at_least_float32(context)
            if context.ndim < x.ndim:
                ones = (1,) * (self.event_ndim - 1)
                context = context.reshape(*context.shape[:-1], *ones, context.shape[-1])
            places = jnp.broadcast_shapes(x.shape[:-1], context.shape[:-1])
            both = (given, context)
            parts = [jnp.broadcast_to(a, (*places, a.shape[-1])) for a in both]
            given = jnp.concatenate(parts, axis=-1)
        return given if self.border is None else self.border.inverse_context(given)


def noise_cells(levels: int, dtype=jnp.float32) -> int:
    """Return the count of values that uniform noise takes within a level.

    >>> noise_cells(256), noise_cells(65536)
    (8192, 32)
    """
    bits = BITS[jnp.dtype(dtype)] - (levels - 1).bit_length() - 1
    return 2 ** min(bits, 30)


def _uniform(key, x, least):
    """Return centers of equal cells of (0, 1), the first of them `least`."""
    cells = round(0.5 / least)
    number = draws(key, x.shape, lambda k, s: jax.random.randint(k, s, 0, cells))
    return (2 * number.astype(x.dtype) + 1) * least


def _log_slope(w, least):
    """Return log du/dw of u = least + (1 - 2 least) sigmoid(w)."""
    return math.log1p(-2 * least) - softplus(w) - softplus(-w)
