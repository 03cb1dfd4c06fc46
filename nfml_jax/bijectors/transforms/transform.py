"""The scalar transform: a family of increasing maps of an interval.

A transform knows nothing of networks. Its parameters are one array of unconstrained
numbers, so that any structure and any conditioner can be combined with any family.
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
    `x`, `y [...]` broadcast over their leading axes, and log-derivatives have the
    broadcast shape. Zero parameters give the identity if the family contains it
    (`has_identity`). For every `raw` the results and their gradients are finite on the
    whole domain.

    Both methods of every subclass are wrapped, so that the following holds for all:

    - Outside the domain (for the inverse: the codomain) the log-derivative is minus
      infinity, as no point is mapped there. The value is that of the nearest end, and
      gradients are zero.
    - The ends belong to the interval unless `closed` is false.
    - A map of angles, which is `periodic`, has no outside.
    - NaN gives NaN.
    - Half precision and integers are computed in float32. The value is returned in the
      precision of a floating-point input, the log-derivative in float32.

    >>> from dataclasses import dataclass
    >>> @dataclass(frozen=True)
    ... class Scale(ScalarTransform):
    ...     num_params = 1
    ...
    ...     def forward_and_log_det(self, raw, x):
    ...         return x * jnp.exp(raw[..., 0]), jnp.broadcast_to(raw[..., 0], x.shape)
    ...
    ...     def inverse_and_log_det(self, raw, y):
    ...         return self.forward_and_log_det(-raw, y)
    >>> y, log_det = Scale().forward_and_log_det(jnp.array([1.0]), jnp.array(0.0))
    >>> float(y), float(log_det)
    (0.0, 1.0)
    """

    domain: ClassVar[Interval] = LINE
    codomain: ClassVar[Interval] = LINE
    closed: ClassVar[bool] = True
    periodic: ClassVar[bool] = False
    has_identity: ClassVar[bool] = True

    def __init_subclass__(cls, **options):
        super().__init_subclass__(**options)
        for name, ends in DIRECTIONS.items():
            if name in vars(cls):
                setattr(cls, name, _with_contract(vars(cls)[name], *ends))

    def __post_init__(self):
        freeze(self)
        self.check_options()

    def check_options(self) -> None:
        """Raise UserError for invalid fields."""

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
        """The number of unconstrained parameters of one member of the family."""
        raise NotImplementedError

    @property
    def log_slope_limit(self) -> float:
        """The most that |log f'| can be; infinite for a family without a bound."""
        return float("inf")

    def forward_and_log_det(self, raw: Array, x: Array) -> tuple[Array, Array]:
        """Return y = f(x) and log f'(x), both `[...]`."""
        raise NotImplementedError

    def inverse_and_log_det(self, raw: Array, y: Array) -> tuple[Array, Array]:
        """Return x = f⁻¹(y) and log (f⁻¹)'(y), both `[...]`."""
        raise NotImplementedError

    @property
    def covers_line(self) -> bool:
        """True if the domain and the codomain are the whole line."""
        return self.periodic or self.domain == self.codomain == LINE

    def outside(self, interval: Interval, x: Array) -> Array | None:
        """Return where `x` lies outside `interval`, the map's domain or codomain.

        The result is booleans `[...]`, False for NaN, or None if nothing is outside.
        """
        if self.periodic or interval == LINE:
            return None
        low, high = interval
        if self.closed:
            return (x < low) | (x > high)
        return (x <= low) | (x >= high)


# The attributes with the intervals that each direction maps from and to.
DIRECTIONS = {
    "forward_and_log_det": ("domain", "codomain"),
    "inverse_and_log_det": ("codomain", "domain"),
}


def _with_contract(direction: Callable, source: str, target: str) -> Callable:
    """Return `direction`, a method of a transform, with the contract of all of them."""

    @broadcasting
    @functools.wraps(direction)
    def checked(self, raw, x):
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
            # Rounding errors are removed; the gradient remains that of the map.
            kept = kept_within(y, getattr(self, target), closed=True)
            y = y + lax.stop_gradient(jnp.where(beyond, kept - y, 0))
        if y.dtype == dtype:
            return y, log_det
        interval = LINE if self.periodic else getattr(self, target)
        return kept_within(y.astype(dtype), interval, self.closed), log_det

    return checked


def _nearest(x, low, high):
    """Return the number of the interval nearest to `x`; for infinities that to 1."""
    return jnp.where(jnp.isinf(x), jnp.clip(1.0, low, high), jnp.clip(x, low, high))


def kept_within(x: Array, interval: Interval, closed: bool = False) -> Array:
    """Return `x` clipped to the least and greatest number of its precision inside."""
    if interval == LINE:
        return x
    low, high = (x.dtype.type(end) for end in interval)
    if not closed:
        # Processors may flush subnormal numbers next to zero.
        tiny = jnp.finfo(x.dtype).tiny
        least, most = np.nextafter(low, high), np.nextafter(high, low)
        low, high = least if low else tiny, most if high else -tiny
    return jnp.clip(x, low, high)
