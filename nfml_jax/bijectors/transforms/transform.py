"""What a scalar transform is: a family of increasing maps of an interval.

A transform knows nothing of networks. Its parameters come as one array of unconstrained
numbers, so any structure and any conditioner can drive any family.
"""

import functools
from collections.abc import Callable
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from nfml_jax.errors import UserError
from nfml_jax.ops.broadcasting import broadcasting
from nfml_jax.ops.precision import as_events, at_least_float32
from nfml_jax.ops.values import freeze

Array = jax.Array
Interval = tuple[float, float]

LINE: Interval = (-float("inf"), float("inf"))


class ScalarTransform:
    """A family of increasing, differentiable maps, one for each `raw [num_params]`.

    Subclasses are frozen dataclasses of pure functions. `raw [..., num_params]` and
    `x`, `y [...]` broadcast over their leading axes; log-derivatives have their shape.
    Zero parameters give the identity wherever the family has it. Whatever `raw` is, the
    results and their gradients are finite on the whole domain.

    Both directions of every subclass pass one border. Outside the domain (for the
    inverse: the codomain) the log-derivative is minus infinity, so that no density
    counts what no point is mapped to; the value is that of the nearest end, and
    gradients are zero. The ends belong to the interval unless `closed` is false.
    NaN stays NaN. A map that `goes_on` beyond its interval, as angles come round, has
    no outside. Numbers of half precision, and integers, are computed in float32: the
    value returns in the precision of a floating-point input, the log-derivative in
    float32.
    """

    domain: ClassVar[Interval] = LINE
    codomain: ClassVar[Interval] = LINE
    closed: ClassVar[bool] = True
    goes_on: ClassVar[bool] = False
    has_identity: ClassVar[bool] = True

    def __init_subclass__(cls, **options):
        super().__init_subclass__(**options)
        for name, ends in DIRECTIONS.items():
            if name in vars(cls):
                setattr(cls, name, _bordered(vars(cls)[name], *ends))

    def __post_init__(self):
        freeze(self)
        self.check_options()

    def check_options(self) -> None:
        """Raise UserError for fields that make no transform."""

    def check_raw(self, raw: Array) -> None:
        """Raise UserError unless the last axis of `raw` has `num_params` numbers."""
        shape = jnp.shape(raw)
        if not shape or shape[-1] != self.num_params:
            raise UserError(
                f"{type(self).__name__} got parameters of shape {list(shape)}; "
                f"expected {self.num_params} of them on the last axis."
            )

    @property
    def num_params(self) -> int:
        """How many unconstrained numbers make one member of the family."""
        raise NotImplementedError

    def forward_and_log_det(self, raw: Array, x: Array) -> tuple[Array, Array]:
        """y = f(x) and log f'(x)."""
        raise NotImplementedError

    def inverse_and_log_det(self, raw: Array, y: Array) -> tuple[Array, Array]:
        """x = f⁻¹(y) and log (f⁻¹)'(y)."""
        raise NotImplementedError

    @property
    def covers_line(self) -> bool:
        """True if the map leads from the whole line to the whole line."""
        return self.goes_on or self.domain == self.codomain == LINE

    def outside(self, interval: Interval, x: Array) -> Array | None:
        """Return where `x` lies outside the map's domain or codomain, `interval`.

        The result is `[...]` booleans, False for NaN, or None where nothing is outside.
        """
        if self.goes_on or interval == LINE:
            return None
        low, high = interval
        if self.closed:
            return (x < low) | (x > high)
        return (x <= low) | (x >= high)


# Of each direction, the attributes with the intervals it leads from and to.
DIRECTIONS = {
    "forward_and_log_det": ("domain", "codomain"),
    "inverse_and_log_det": ("codomain", "domain"),
}


def _bordered(direction: Callable, source: str, target: str) -> Callable:
    """`direction`, a method of a transform, with what holds of all of them."""

    @broadcasting
    @functools.wraps(direction)
    def bordered(self, raw, x):
        x, dtype = as_events(x)
        raw = at_least_float32(raw)
        outside = self.outside(getattr(self, source), x)
        if outside is None:
            y, log_det = direction(self, raw, x)
        else:
            nearest = lax.stop_gradient(_nearest(x, *getattr(self, source)))
            y, log_det = direction(self, raw, jnp.where(outside, nearest, x))
            log_det = jnp.where(outside, -jnp.inf, log_det)
        beyond = self.outside(getattr(self, target), y) if self.closed else None
        if beyond is not None:
            # By rounding; the gradient stays the map's.
            kept = kept_within(y, getattr(self, target), closed=True)
            y = y + lax.stop_gradient(jnp.where(beyond, kept - y, 0))
        if y.dtype == dtype:
            return y, log_det
        interval = LINE if self.goes_on else getattr(self, target)
        return kept_within(y.astype(dtype), interval, self.closed), log_det

    return bordered


def _nearest(x, low, high):
    """The finite number of the interval that is nearest to `x`; 1 for an infinity."""
    return jnp.where(jnp.isinf(x), jnp.clip(1.0, low, high), jnp.clip(x, low, high))


def kept_within(x: Array, interval: Interval, closed: bool = False) -> Array:
    """`x` between the least and the greatest number of its precision in `interval`."""
    if interval == LINE:
        return x
    low, high = (x.dtype.type(end) for end in interval)
    if not closed:
        # Beside zero lie numbers that processors may take for zero.
        tiny = jnp.finfo(x.dtype).tiny
        least, most = np.nextafter(low, high), np.nextafter(high, low)
        low, high = least if low else tiny, most if high else -tiny
    return jnp.clip(x, low, high)
