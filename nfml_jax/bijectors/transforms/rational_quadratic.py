"""Rational-quadratic splines: neural spline flows (Durkan et al. 2019).

On the circle they are those of Rezende et al. 2020. Equation numbers are those of
Durkan et al.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

import jax
import jax.numpy as jnp

from nfml_jax.bijectors.transforms.spline import Bins, Spline
from nfml_jax.bijectors.transforms.spline_bins import exponentials, recomputed
from nfml_jax.ops.broadcasting import broadcasting
from nfml_jax.ops.checks import check_number


@dataclass(frozen=True)
class RationalQuadratic(Spline):
    """Quotients of quadratics between knots, with a continuous first derivative.

    The raw parameters are the logarithms of the relative widths of K bins, then of
    their relative heights, and numbers for the slopes at the knots.

    Attributes:
      bins: K, the number of bins.
      bound: Half the length of the interval.
      tails: "linear" is the identity outside ±`bound`, where the slope is one; it has
        3K - 1 parameters. "box" maps [-bound, bound] onto itself, with free slopes at
        the ends and density zero outside; it has 3K + 1. "circular" maps the circle
        [-bound, bound) onto itself, with one slope where its ends meet, and a last
        parameter that rotates the result, in radians; it has 3K + 1.
      min_width: The smallest share of the interval that a bin has.
      min_height: The smallest share of the image that a bin has.
      min_slope: The smallest slope at a knot.
      temperature: A number by which the logarithms of sizes are divided.

    >>> transform = RationalQuadratic(bins=4)
    >>> raw = jnp.zeros(transform.num_params)
    >>> y, log_det = transform.forward_and_log_det(raw, jnp.array([0.0, 1.0]))
    >>> [round(float(value), 3) for value in (*y, *log_det)]
    [0.0, 1.0, 0.0, 0.0]
    """

    min_width: float = 1e-3
    min_height: float = 1e-3
    min_slope: float = 1e-3
    temperature: float = 1.0

    kinds_of_tails: ClassVar[tuple[str, ...]] = ("linear", "box", "circular")

    def check_options(self):
        super().check_options()
        check_number(self, above=0.0, temperature=self.temperature)

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
        widths = exponentials(widths / self.temperature)
        heights = exponentials(heights / self.temperature)
        return Bins(widths, heights, slopes, least)

    def _map(self, raw, x, inverse):
        if self.tails != "circular":
            return super()._map(raw, x, inverse)
        raw, turn = raw[:-1], raw[-1] * (self.bound / math.pi)
        if inverse:
            return super()._map(raw, self._around(x - turn), inverse)
        y, log_det = super()._map(raw, self._around(x), inverse)
        return self._around(y + turn), log_det

    def _around(self, x):
        """Return the point of [-bound, bound] at angle x."""
        turns = jnp.where(jnp.abs(x) > self.bound, jnp.round(x / (2 * self.bound)), 0)
        return jnp.clip(x - 2 * self.bound * turns, -self.bound, self.bound)

    def curve(self, segment, x):
        d0, d1 = self._slopes(segment)
        return _curve(segment._replace(d0=d0, d1=d1), x)

    def root(self, segment, y):
        # Equations 6 to 8, divided by the bin's height and from the nearer corner: next
        # to the upper corner 1 - part would be all rounding error.
        below, above = y - segment.y0, segment.y1 - y
        upper, (d0, d1) = above < below, self._slopes(segment)
        d0, d1 = jnp.where(upper, d1, d0), jnp.where(upper, d0, d1)
        chord, part = segment.chord, jnp.minimum(below, above) / segment.height
        bend = part * (d0 + d1 - 2 * chord)
        a, b, c = (chord - d0) + bend, d0 - bend, chord * part
        root = jnp.sqrt(jnp.maximum(b * b + 4 * a * c, 0))
        # The form that adds numbers of equal sign; each is finite where it is used.
        positive = b >= 0
        z = jnp.where(
            positive,
            2 * c / jnp.where(positive, b + root, 1),
            (root - b) / jnp.where(positive, 1, 2 * a),
        )
        return jnp.where(upper, 1 - z, z)

    def _slopes(self, segment):
        return self._slope(segment.d0), self._slope(segment.d1)

    def _slope(self, raw):
        """Return a positive slope that is exactly one at zero, for the identity."""
        return self.min_slope + (1 - self.min_slope) * (_softplus(raw) / math.log(2))


@jax.custom_jvp
def _curve(segment, x):
    """Return equation 4 and its derivative, equation 5; d0 and d1 are end slopes."""
    z, q = segment.parts(x)
    chord, d0, d1 = segment.chord, segment.d0, segment.d1
    first, second = _quotient(segment, z, q)
    # The distance from the chord. Only one sum has terms of different sign.
    above = segment.height * z * q * ((d0 - chord) * q - (d1 - chord) * z)
    ratio = chord / second
    return segment.from_chord(x, above / second), ratio * ratio * first


@_curve.defjvp
@broadcasting
def _(primals, tangents):
    y, slope = _curve(*primals)
    return (y, slope), _curve_tangent(primals, slope, tangents)


@recomputed
def _curve_tangent(at, slope, moves):
    # In closed form, as automatic derivatives take XLA three times as long to compile.
    # When the edges move, the terms are the move of x within its bin, the change of the
    # chord's logarithm, and the changes of the end slopes relative to the chord's.
    (segment, x), (move, dx) = at, moves
    z, q = segment.parts(x)
    chord, d0, d1 = segment.chord, segment.d0, segment.d1
    per_width, per_height = 1 / segment.width, 1 / segment.height
    per_first, per_second = (1 / part for part in _quotient(segment, z, q))
    along = dx - q * move.x0 - z * move.x1
    turn = (move.y1 - move.y0) * per_height - (move.x1 - move.x0) * per_width
    turn0, turn1 = move.d0 - d0 * turn, move.d1 - d1 * turn

    share = z * (chord * z + d0 * q) * per_second  # of the height that is below y
    bend = z * q * per_second
    dy = slope * along + (1 - share) * move.y0 + share * move.y1
    dy += segment.height * bend * ((1 - share) * turn0 - share * turn1)

    steeper = (d1 * z - d0 * q + chord * (q - z)) * per_first
    steeper -= (d0 + d1 - 2 * chord) * (q - z) * per_second
    d_log_slope = 2 * per_width * steeper * along + turn
    d_log_slope += (q * q * per_first - 2 * bend) * turn0
    d_log_slope += (z * z * per_first - 2 * bend) * turn1
    return dy, slope * d_log_slope


def _quotient(segment, z, q):
    """Return `first` and `second` at z and q = 1 - z.

    The slope is (chord / second)² first.
    """
    chord, d0, d1 = segment.chord, segment.d0, segment.d1
    first = d1 * z * z + 2 * chord * z * q + d0 * q * q
    return first, chord * (z * z + q * q) + (d0 + d1) * z * q


@jax.custom_jvp
def _softplus(x):
    return jax.nn.softplus(x)


@_softplus.defjvp
@broadcasting
def _(primals, tangents):
    # Divided last, for the reason given in `spline_bins`.
    return _softplus(*primals), tangents[0] / (1 + jnp.exp(-primals[0]))
