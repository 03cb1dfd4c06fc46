"""The base class of splines: increasing piecewise functions on [-bound, bound].

A family defines how its parameters make bins, and the curve within one bin.
"""

from dataclasses import dataclass
from functools import partial
from typing import ClassVar, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from nfml_jax.bijectors.transforms.spline_bins import (
    bin_edges,
    bins_first,
    find_bin,
    pick_ends,
)
from nfml_jax.bijectors.transforms.transform import LINE, Interval, ScalarTransform
from nfml_jax.ops.broadcasting import broadcasting
from nfml_jax.ops.checks import check_choice, check_integer, check_number

Array = jax.Array


class Bins(NamedTuple):
    """All bins of a spline: relative sizes `[K, ...]`, and a number at each knot.

    `least` is the smallest share of a width and of a height.
    """

    widths: Array
    heights: Array
    at_knots: Array | None = None  # [K + 1, ...]
    least: tuple[float, float] = (0.0, 0.0)


class Segment(NamedTuple):
    """The piece of a spline over one bin: its corners, and the numbers at its ends."""

    x0: Array
    x1: Array
    y0: Array
    y1: Array
    d0: Array | None = None
    d1: Array | None = None

    @property
    def width(self) -> Array:
        return self.x1 - self.x0

    @property
    def height(self) -> Array:
        return self.y1 - self.y0

    @property
    def chord(self) -> Array:
        """The slope of the line between the corners."""
        return self.height / self.width

    def parts(self, x: Array) -> tuple[Array, Array]:
        """Return the distances z and 1 - z of x from both edges, in widths of the bin.

        Each is computed from its own edge, as next to the upper one the difference
        1 - z would be all rounding error.
        """
        return (x - self.x0) / self.width, (self.x1 - x) / self.width

    def from_chord(self, x: Array, above: Array | float) -> Array:
        """Return y at x, `above` over the chord, computed from the nearer corner."""
        lower = x - self.x0 < self.x1 - x
        corner_x = jnp.where(lower, self.x0, self.x1)
        corner_y = jnp.where(lower, self.y0, self.y1)
        right = x - corner_x
        # The rounding error of x - corner_x; with it, the identity is exact.
        rest = lax.stop_gradient(x - (corner_x + right))
        return (corner_y + (self.chord * right + above)) + self.chord * rest


@dataclass(frozen=True)
class Spline(ScalarTransform):
    """The base class of splines.

    With `tails="linear"` the map is exactly the identity outside ±`bound`. With
    `tails="box"` it maps [-bound, bound] onto itself, and densities outside are zero.
    """

    bins: int = 8
    bound: float = 3.0
    tails: str = "linear"

    kinds_of_tails: ClassVar[tuple[str, ...]] = ("linear", "box")
    fewest_bins: ClassVar[int] = 1
    most_min_slope: ClassVar[float] = 1.0

    def check_options(self):
        check_choice(self, self.kinds_of_tails, tails=self.tails)
        check_integer(self, self.fewest_bins, bins=self.bins)
        check_number(self, above=0.0, bound=self.bound)
        for share in {"min_width", "min_height"} & vars(self).keys():
            check_number(
                self,
                above=0.0,
                below=1 / self.bins,
                hint=f", the smallest share of one of {self.bins} bins",
                **{share: getattr(self, share)},
            )
        if "min_slope" in vars(self):
            most = self.most_min_slope
            check_number(self, above=0.0, below=most, min_slope=vars(self)["min_slope"])

    @property
    def domain(self) -> Interval:
        return LINE if self.tails == "linear" else (-self.bound, self.bound)

    @property
    def codomain(self) -> Interval:
        return self.domain

    @property
    def periodic(self) -> bool:
        """True on a circle, where every number is an angle of some point."""
        return self.tails == "circular"

    def forward_and_log_det(self, raw, x):
        return self._laid_out(raw, x, inverse=False)

    def inverse_and_log_det(self, raw, y):
        return self._laid_out(raw, y, inverse=True)

    def make_bins(self, raw: Array) -> Bins:
        """Return the bins of the parameters `raw [num_params, ...]`."""
        raise NotImplementedError

    def curve(self, segment: Segment, x: Array) -> tuple[Array, Array]:
        """Return y and dy/dx at x within the segment."""
        raise NotImplementedError

    def root(self, segment: Segment, y: Array) -> Array:
        """Return the approximate place in the bin, 0 to 1, where curve(x) = y."""
        raise NotImplementedError

    def _laid_out(self, raw, x, inverse):
        self.check_raw(raw)
        raw, x, restore = bins_first(raw, x)
        y, log_det = self._map(raw, x, inverse)
        return restore(y), restore(log_det)

    def _map(self, raw, x, inverse):
        smooth = self.tails == "linear"
        inside = jnp.abs(x) < self.bound if smooth else jnp.abs(x) <= self.bound
        # Outside, the spline is evaluated at 0, so that gradients stay finite.
        within = jnp.where(inside, x, 0)
        segment = self._segment(raw, within, inverse)
        if inverse:
            y = _solve(self, segment, within)
            log_det = -jnp.log(self.curve(segment, y)[1])
        else:
            y, slope = self.curve(segment, within)
            log_det = jnp.log(slope)
        if not smooth:
            y = _pinned(y, within, self.bound)
        return jnp.where(inside, y, x), jnp.where(inside, log_det, 0)

    def _segment(self, raw, at, inverse):
        """Return the piece whose bin contains `at`: an x, or for the inverse a y."""
        bins = self.make_bins(raw)
        given, across = bins.widths, bins.heights
        least, least_across = bins.least
        if inverse:
            given, across, least, least_across = across, given, least_across, least
        index, *edges = find_bin(given, at, self.bound, least)
        edges_across = bin_edges(across, index, self.bound, least_across)
        if inverse:
            edges, edges_across = edges_across, edges
        at_ends = () if bins.at_knots is None else pick_ends(bins.at_knots, index)
        return Segment(*edges, *edges_across, *at_ends)


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def _solve(spline: Spline, segment: Segment, y: Array) -> Array:
    """Return the x with curve(x) = y: the root, then one step of Newton's method."""
    x0, x1 = segment.x0, segment.x1
    x = x0 + (x1 - x0) * jnp.clip(spline.root(segment, y), 0, 1)
    value, slope = spline.curve(segment, x)
    return jnp.clip(x - (value - y) / slope, x0, x1)


@_solve.defjvp
@broadcasting
def _(spline, primals, tangents):
    # The implicit function theorem: ∂x = (∂y - ∂f) / f'(x).
    (segment, y), (d_segment, d_y) = primals, tangents
    x = _solve(spline, segment, y)

    def of_segment(segment):
        return spline.curve(segment, x)

    (_, slope), (d_value, _) = jax.jvp(of_segment, (segment,), (d_segment,))
    return x, (d_y - d_value) / slope


def _pinned(y, x, bound):
    """Return `y` with exact ends and no value beyond them, and y's derivatives."""
    exact = jnp.where(jnp.abs(x) == bound, x, jnp.clip(y, -bound, bound))
    return y + lax.stop_gradient(exact - y)
