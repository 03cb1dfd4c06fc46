"""The bijector: an invertible map of events, with its log-determinant.

Forward goes from the base to the data, as in distrax. A bijector is a Flax module. Its
parameters take their shapes from the first event, so no sizes are given.
"""

import functools
import inspect
import math
from collections.abc import Callable
from typing import ClassVar

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp

from nfml_jax.ops.broadcasting import broadcasting
from nfml_jax.ops.checks import check_integer
from nfml_jax.ops.events import at_places, broadcast_events, is_map, sum_axes
from nfml_jax.ops.modules import parts_of
from nfml_jax.ops.precision import at_least_float32
from nfml_jax.ops.values import Value

Array = jax.Array


class Bijector(Value):
    """An invertible map of events; all leading axes are batch.

    An event has `event_ndim` axes: a vector `[..., D]` has one, tokens `[..., T, D]`
    two, an image `[..., H, W, C]` three. Log-determinants have the batch's shape.

    A subclass implements `forward_and_log_det` and `inverse_and_log_det` with the same
    parameters. The other methods follow from these two. A `context` conditions the map:
    a vector `[..., C]`, or for images a feature map `[..., H, W, C]` that has as many
    axes as the events. Its leading axes broadcast against the event's, and results have
    the batch shape of both.

    Both methods of every subclass are wrapped, so that the following holds for all:

    - Within the two methods events have all batch axes already.
    - Half precision and integers are computed in float32. The event is returned in the
      precision of a floating-point input, the log-determinant in float32.
    - An empty batch gives an empty result.
    - Where an event is not in the image of the map, the log-determinant of the inverse
      is minus infinity.
    - For an event with NaN, some coordinate of the result is NaN.

    >>> class Double(Bijector):
    ...     def forward_and_log_det(self, x, context=None):
    ...         return 2 * x, jnp.full(x.shape[:-1], x.shape[-1] * jnp.log(2.0))
    ...
    ...     def inverse_and_log_det(self, y, context=None):
    ...         return y / 2, jnp.full(y.shape[:-1], -y.shape[-1] * jnp.log(2.0))
    >>> Double().apply({}, jnp.array([[1.0, 2.0, 3.0]]), method="forward").tolist()
    [[2.0, 4.0, 6.0]]
    """

    preserves_volume: ClassVar[bool] = False
    """True if the log-determinant of every event is zero."""
    estimates: ClassVar[bool] = False
    """True if the log-determinant is estimated where a "log_det" key is given."""

    def __init_subclass__(cls, **options):
        # Before Flax sees the methods.
        for name, inverse in DIRECTIONS.items():
            if name in vars(cls):
                setattr(cls, name, _with_contract(vars(cls)[name], inverse))
        super().__init_subclass__(**options)

    def forward_and_log_det(
        self, x: Array, context: Array | None = None
    ) -> tuple[Array, Array]:
        """Return y = f(x) `[*batch, *event]` and log |det ∂y/∂x| `[*batch]`."""
        raise NotImplementedError

    def inverse_and_log_det(
        self, y: Array, context: Array | None = None
    ) -> tuple[Array, Array]:
        """Return x = f⁻¹(y) `[*batch, *event]` and log |det ∂x/∂y| `[*batch]`."""
        raise NotImplementedError

    def forward(self, x: Array, context: Array | None = None) -> Array:
        """Return y = f(x), `[*batch, *event]`."""
        return self.forward_and_log_det(x, context)[0]

    def inverse(self, y: Array, context: Array | None = None) -> Array:
        """Return x = f⁻¹(y), `[*batch, *event]`."""
        return self.inverse_and_log_det(y, context)[0]

    @property
    def event_ndim(self) -> int:
        """The number of axes of an event x."""
        return 1

    @property
    def event_ndim_out(self) -> int:
        """The number of axes of an event y = f(x), by default as for x."""
        return self.event_ndim

    @nn.nowrap
    def forward_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of f(x) for an event x of this shape.

        Raises UserError for a shape that the map cannot have.
        """
        return shape

    @nn.nowrap
    def inverse_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of f⁻¹(y) for an event y of this shape."""
        return shape

    @nn.nowrap
    def forward_context(self, context: Array) -> Array:
        """Return the map for events f(x) that the context of events x becomes.

        A bijector that moves an image's places moves those of a feature map alike.
        """
        return context

    @nn.nowrap
    def inverse_context(self, context: Array) -> Array:
        """Return the map for events f⁻¹(y) that the context of events y becomes."""
        return context

    @nn.nowrap
    def log_det_limit(self, shape: tuple[int, ...]) -> float:
        """Return the most nats that |log det| can be for an event x of this shape.

        It is infinite for a map without a known bound, and 0 for one that preserves
        volume.
        """
        return 0.0 if self.preserves_volume else math.inf

    @property
    def covers_line(self) -> bool:
        """True if every event of finite numbers is in the image of this map.

        It is false if a transform within the map has a bounded domain or codomain.
        """
        return all(getattr(part, "covers_line", True) for part in parts_of(self))

    def __call__(self, x: Array, context: Array | None = None):
        return self.forward_and_log_det(x, context)


# The two methods of a bijector, and whether each is the inverse.
DIRECTIONS = {"forward_and_log_det": False, "inverse_and_log_det": True}


class OnLastAxis(Bijector, kw_only=True):
    """A bijector that acts along the last axis of events of any shape.

    Within its two methods the other axes of an event are batch axes, so they are the
    methods of a bijector of vectors. On images this is a map of each pixel's channels,
    and the log-determinant is summed over the pixels.

    Attributes:
      event_ndim: The number of axes of an event.
    """

    event_ndim: int = 1

    def __post_init__(self):
        check_integer(self, 1, event_ndim=self.event_ndim)
        super().__post_init__()


def _with_contract(method: Callable, inverse: bool) -> Callable:
    """Return `method`, a direction of a bijector, with the contract of all of them."""
    signature = inspect.signature(method)

    @broadcasting
    @functools.wraps(method)
    def call(self, *args, **kwargs):
        _, event, *context = signature.bind(self, *args, **kwargs).args
        ndim = self.event_ndim_out if inverse else self.event_ndim
        event, context = broadcast_events(event, *context, event_ndim=ndim)
        x = at_least_float32(event)
        context = None if context is None else at_least_float32(context)
        own = 1 if isinstance(self, OnLastAxis) else ndim
        context = at_places(context, x, ndim, own)
        batch, shape = x.shape[: x.ndim - ndim], x.shape[x.ndim - ndim :]
        result = self.inverse_shape(shape) if inverse else self.forward_shape(shape)
        if 0 in batch:
            if self.is_initializing():
                # Parameters follow from an event of ones.
                one = jnp.ones((1, *shape), x.dtype)
                axes = ndim if own < ndim or is_map(context, x, ndim) else 1
                method(self, one, _one_context(context, axes))
            nothing = jnp.zeros((*batch, *result), event.dtype)
            return nothing, jnp.zeros(batch, x.dtype)
        y, log_det = method(self, x, context)
        log_det = sum_axes(log_det, ndim - own)
        # The contract of a bijector; one that broke it would add up to wrong densities.
        chex.assert_shape(y, (*batch, *result))
        chex.assert_shape(log_det, batch)
        chex.assert_type([y, log_det], float)
        return y.astype(event.dtype), log_det

    return call


def _one_context(context, axes):
    """Return a context of ones for one event, with the last `axes` of `context`."""
    if context is None:
        return None
    return jnp.ones((1, *context.shape[context.ndim - axes :]))


def apply_in(
    bijector: Bijector,
    x: Array,
    context: Array | None,
    event_ndim: int,
    *,
    inverse: bool = False,
) -> tuple[Array, Array]:
    """Return a part's result in a bijector of events of `event_ndim` axes.

    A part of fewer axes acts along the last axes, at each place of the others, and its
    log-determinant is summed over the places.
    """
    own = bijector.event_ndim_out if inverse else bijector.event_ndim
    step = bijector.inverse_and_log_det if inverse else bijector.forward_and_log_det
    x, log_det = step(x, at_places(context, x, event_ndim, own))
    return x, sum_axes(log_det, event_ndim - own)


def zero_log_det(x: Array, event_ndim: int = 1) -> Array:
    """Return the log-determinant of a map that preserves volume, zeros `[*batch]`."""
    return jnp.zeros(x.shape[: x.ndim - event_ndim], x.dtype)
