"""Splines of polynomials: linear, quadratic and cubic.

The linear and quadratic ones are those of "Neural importance sampling" (Müller et al.
2019), the cubic one is that of "Cubic-spline flows" (Durkan et al. 2019). The most
common spline is in `rational_quadratic`.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

import jax
import jax.numpy as jnp

from nfml_jax.bijectors.transforms.numerical_inverse import increasing_inverse
from nfml_jax.bijectors.transforms.spline import Bins, Spline
from nfml_jax.bijectors.transforms.spline_bins import exponentials, fractions


@dataclass(frozen=True)
class LinearSpline(Spline):
    """Straight pieces over bins of equal width (Müller et al. 2019, section 4.2).

    The raw parameters are the logarithms of the bins' relative heights.

    >>> transform = LinearSpline(bins=4)
    >>> y, log_det = transform.forward_and_log_det(jnp.zeros(4), jnp.array([0.0, 1.0]))
    >>> y.tolist(), log_det.tolist()
    ([0.0, 1.0], [0.0, 0.0])
    """

    min_height: float = 1e-3

    @property
    def num_params(self) -> int:
        return self.bins

    def make_bins(self, raw):
        # One formula for both, so that zeros are exactly the identity.
        least = self.min_height, self.min_height
        return Bins(jnp.ones_like(raw), exponentials(raw), least=least)

    def curve(self, segment, x):
        return segment.from_chord(x, 0.0), segment.chord

    def root(self, segment, y):
        return (y - segment.y0) / segment.height


@dataclass(frozen=True)
class QuadraticSpline(Spline):
    """Pieces of parabolas with a piecewise linear slope (Müller et al. 2019, 4.3).

    The raw parameters are the logarithms of the bins' relative widths, then of the
    relative slopes at the knots. With linear tails the slope is one at both ends.

    >>> transform = QuadraticSpline(bins=4)
    >>> raw = jnp.zeros(transform.num_params)
    >>> y, log_det = transform.forward_and_log_det(raw, jnp.array([0.0, 1.0]))
    >>> [round(float(value), 3) for value in y]
    [0.0, 1.0]
    """

    min_width: float = 1e-3
    min_slope: float = 1e-3

    fewest_bins: ClassVar[int] = 2

    @property
    def num_params(self) -> int:
        return 2 * self.bins + (-1 if self.tails == "linear" else 1)

    def make_bins(self, raw):
        widths, slopes = jnp.split(raw, [self.bins])
        widths = fractions(exponentials(widths), self.min_width)
        slopes = exponentials(slopes)
        # The mean slope is one. The weight of a knot is half the bins beside it.
        weights = (_pad(widths, 1, 0) + _pad(widths, 0, 1)) / 2
        if self.tails == "linear":
            weights = weights[1:-1]
        mean = (weights * slopes).sum(0) / weights.sum(0)
        slopes = self.min_slope + (1 - self.min_slope) * (slopes / mean)
        if self.tails == "linear":
            slopes = _pad(slopes, 1, 1, value=1)
        return Bins(widths, widths * (slopes[:-1] + slopes[1:]) / 2, slopes)

    def curve(self, segment, x):
        z, q = segment.parts(x)
        d0, d1 = self._slopes(segment)
        above = segment.width * (z * q) * (d0 - d1) / 2
        return segment.from_chord(x, above), d0 * q + d1 * z

    def root(self, segment, y):
        d0, d1 = self._slopes(segment)
        part = (y - segment.y0) / segment.height
        slope = jnp.sqrt(d0 * d0 * (1 - part) + d1 * d1 * part)
        return (d0 + d1) * part / (d0 + slope)

    @staticmethod
    def _slopes(segment):
        # The ratio is as given, and the piece ends in the bin's corners.
        scale = 2 * segment.chord / (segment.d0 + segment.d1)
        return segment.d0 * scale, segment.d1 * scale


@dataclass(frozen=True)
class CubicSpline(Spline):
    """Increasing cubic pieces (Durkan et al. 2019, Steffen 1990).

    The raw parameters are the logarithms of the bins' relative widths, then of their
    relative heights, and on a box the slopes at both ends. With linear tails these
    slopes are one, or as close to it as an increasing cubic permits.

    >>> transform = CubicSpline(bins=4)
    >>> raw = jnp.zeros(transform.num_params)
    >>> y, log_det = transform.forward_and_log_det(raw, jnp.array([0.0, 1.0]))
    >>> [round(float(value), 3) for value in y]
    [0.0, 1.0]
    """

    min_width: float = 1e-3
    min_height: float = 1e-3
    min_slope: float = 1e-3

    most_min_slope: ClassVar[float] = 1 / 3

    @property
    def num_params(self) -> int:
        return 2 * self.bins + (0 if self.tails == "linear" else 2)

    def make_bins(self, raw):
        widths, heights, ends = jnp.split(raw, [self.bins, 2 * self.bins])
        widths = fractions(exponentials(widths), self.min_width)
        heights = fractions(exponentials(heights), self.min_height)
        chords = heights / widths
        end_chords = jnp.stack([chords[0], chords[-1]])
        # A cubic is increasing if its end slopes are at most three times the chord's.
        if self.tails == "linear":
            ends = jnp.minimum(1, 3 * end_chords)
        else:
            part = jax.nn.sigmoid(ends - math.log(2))
            ends = 3 * end_chords * (self.min_slope + (1 - 3 * self.min_slope) * part)
        w0, w1, s0, s1 = widths[:-1], widths[1:], chords[:-1], chords[1:]
        parabola = (s0 * w1 + s1 * w0) / (w0 + w1)
        inner = jnp.minimum(parabola, 2 * jnp.minimum(s0, s1))
        slopes = jnp.concatenate([ends[:1], inner, ends[1:]])
        return Bins(widths, heights, slopes)

    def curve(self, segment, x):
        z = (x - segment.x0) / segment.width
        value, slope = _unit_cubic(_in_chords(segment), z)
        above = segment.height * (value - z)
        return segment.from_chord(x, above), segment.chord * slope

    def root(self, segment, y):
        part = (y - segment.y0) / segment.height
        ends = _in_chords(segment)
        return increasing_inverse(_unit_cubic_and_log_slope, ends, part, (0.0, 1.0))


def _in_chords(segment):
    """Return the slopes at a segment's ends, divided by its chord's."""
    return segment.d0 / segment.chord, segment.d1 / segment.chord


def _unit_cubic(ends, z):
    """Return value and slope at z of the cubic on [0, 1] with end slopes `ends`."""
    d0, d1 = ends
    q = 1 - z
    zq = z * q
    value = z + zq * ((d0 - 1) * q - (d1 - 1) * z)
    return value, d0 * q * (1 - 3 * z) + d1 * z * (1 - 3 * q) + 6 * zq


def _unit_cubic_and_log_slope(ends, z):
    value, slope = _unit_cubic(ends, z)
    return value, jnp.log(slope)


def _pad(values, before, after, value=0):
    """Return `values` padded with `before` and `after` entries on the first axis."""
    pads = [(before, after)] + [(0, 0)] * (values.ndim - 1)
    return jnp.pad(values, pads, constant_values=value)
