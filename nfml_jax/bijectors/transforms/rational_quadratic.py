"""Rational-quadratic splines: neural spline flows (Durkan et al. 2019).

On the circle, they are those of Rezende et al. 2020.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

import jax
import jax.numpy as jnp

from nfml_jax.bijectors.transforms.spline import Bins, Spline
from nfml_jax.bijectors.transforms.spline_bins import exponentials


@dataclass(frozen=True)
class RationalQuadratic(Spline):
    """Quotients of quadratics between knots, smooth to the first derivative.

    `raw`: the logarithms of the K bins' widths, then of their heights, whose
    proportions count, and numbers for the slopes at the knots. `tails`:

    - "linear": the identity outside ±`bound`, where the slope is one; 3K - 1 numbers;
    - "box": [-bound, bound] onto itself, the slopes at the ends free; 3K + 1;
    - "circular": the circle [-bound, bound) onto itself, with one slope where its ends
      meet and a last number that turns the result, in radians; 3K + 1.

    `min_width`, `min_height` are the smallest shares of the interval that a bin takes.
    """

    min_width: float = 1e-3
    min_height: float = 1e-3
    min_slope: float = 1e-3

    kinds_of_tails: ClassVar[tuple[str, ...]] = ("linear", "box", "circular")

    @property
    def num_params(self) -> int:
        return 3 * self.bins + (-1 if self.tails == "linear" else 1)

    def make_bins(self, raw):
        widths, heights, slopes = jnp.split(raw, [self.bins, 2 * self.bins])
        if self.tails == "linear":
            slopes = jnp.pad(slopes, [(1, 1)] + [(0, 0)] * (slopes.ndim - 1))
        elif self.tails == "circular":
            slopes = jnp.concatenate([slopes, slopes[:1]])
        least = self.min_width, self.min_height
        return Bins(exponentials(widths), exponentials(heights), slopes, least)

    def _map(self, raw, x, inverse):
        if self.tails != "circular":
            return super()._map(raw, x, inverse)
        raw, turn = raw[:-1], raw[-1] * (self.bound / math.pi)
        if inverse:
            return super()._map(raw, self._around(x - turn), inverse)
        y, log_det = super()._map(raw, self._around(x), inverse)
        return self._around(y + turn), log_det

    def _around(self, x):
        """The point of [-bound, bound] at angle x."""
        turns = jnp.where(jnp.abs(x) > self.bound, jnp.round(x / (2 * self.bound)), 0)
        return jnp.clip(x - 2 * self.bound * turns, -self.bound, self.bound)

    def curve(self, segment, x):
        # Equation 4, from the chord. No sum has terms of different sign but one.
        d0, d1, chord = *self._slopes(segment), segment.chord
        z = (x - segment.x0) / segment.width
        q = 1 - z
        zq = z * q
        denominator = chord * (z * z + q * q) + (d0 + d1) * zq
        above = segment.height * zq * ((d0 - chord) * q - (d1 - chord) * z)
        slope = d1 * z * z + 2 * chord * zq + d0 * q * q
        ratio = chord / denominator
        return segment.from_chord(x, above / denominator), ratio * ratio * slope

    def root(self, segment, y):
        # Equations 6 to 8, divided by the bin's height.
        d0, d1, chord = *self._slopes(segment), segment.chord
        part = (y - segment.y0) / segment.height
        bend = part * (d0 + d1 - 2 * chord)
        a, b, c = (chord - d0) + bend, d0 - bend, chord * part
        root = jnp.sqrt(jnp.maximum(b * b + 4 * a * c, 0))
        # The form that adds numbers of the same sign; each is finite where it is used.
        positive = b >= 0
        return jnp.where(
            positive,
            2 * c / jnp.where(positive, b + root, 1),
            (root - b) / jnp.where(positive, 1, 2 * a),
        )

    def _slopes(self, segment):
        return self._slope(segment.d0), self._slope(segment.d1)

    def _slope(self, raw):
        """Positive, and one at zero (to the last bit, so zeros are the identity)."""
        return self.min_slope + (1 - self.min_slope) * (_softplus(raw) / math.log(2))


@jax.custom_jvp
def _softplus(x):
    return jax.nn.softplus(x)


@_softplus.defjvp
def _(primals, tangents):
    # Divided last, for the reason given in `spline_bins`.
    return _softplus(*primals), tangents[0] / (1 + jnp.exp(-primals[0]))
