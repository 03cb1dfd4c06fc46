"""What a bijector is: an invertible map of vectors with its log-determinant.

Forward goes from the base to the data, as in distrax. A bijector is a Flax module; its
parameters are made from the shapes it first sees, so it is told no sizes.
"""

import functools
import inspect
from collections.abc import Callable

import chex
import jax
import jax.numpy as jnp

from nfml_jax.ops.broadcasting import broadcasting
from nfml_jax.ops.events import together
from nfml_jax.ops.precision import working
from nfml_jax.ops.values import Value

Array = jax.Array


class Bijector(Value):
    """An invertible map of events `[..., D]`; all leading axes are batch.

    A subclass gives `forward_and_log_det` and `inverse_and_log_det`, both from the same
    parameters; the rest is derived. `context [..., C]` conditions the map; its leading
    axes broadcast against the event's, and results have the batch of both.

    Both directions of every subclass pass one border, so that within the two methods
    events have all batch axes already. Events of half precision, and integers, are
    computed in float32: the event returns in the precision of a floating-point input,
    the log-determinant in float32. An empty batch gives an empty result. Where an event
    is no image of the map, the log-determinant of the inverse is minus infinity; in an
    event with NaN, some coordinate of the result is NaN.
    """

    def __init_subclass__(cls, **options):
        # Before Flax sees the methods.
        for name in ("forward_and_log_det", "inverse_and_log_det"):
            if name in vars(cls):
                setattr(cls, name, _bordered(vars(cls)[name]))
        super().__init_subclass__(**options)

    def forward_and_log_det(
        self, x: Array, context: Array | None = None
    ) -> tuple[Array, Array]:
        """y = f(x) `[..., D]`, and log |det ∂y/∂x| `[...]`."""
        raise NotImplementedError

    def inverse_and_log_det(
        self, y: Array, context: Array | None = None
    ) -> tuple[Array, Array]:
        """x = f⁻¹(y) `[..., D]`, and log |det ∂x/∂y| `[...]`."""
        raise NotImplementedError

    def forward(self, x: Array, context: Array | None = None) -> Array:
        """y = f(x), `[..., D]`."""
        return self.forward_and_log_det(x, context)[0]

    def inverse(self, y: Array, context: Array | None = None) -> Array:
        """x = f⁻¹(y), `[..., D]`."""
        return self.inverse_and_log_det(y, context)[0]

    def __call__(self, x: Array, context: Array | None = None):
        return self.forward_and_log_det(x, context)


def _bordered(method: Callable) -> Callable:
    """Return `method`, a direction of a bijector, with what holds of all of them."""
    signature = inspect.signature(method)

    @broadcasting
    @functools.wraps(method)
    def call(self, *args, **kwargs):
        _, event, *context = signature.bind(self, *args, **kwargs).args
        event, context = together(event, *context)
        x = working(event)
        context = None if context is None else working(context)
        if 0 in x.shape[:-1]:
            return _of_no_events(method, self, x, context, event.dtype)
        y, log_det = method(self, x, context)
        # The contract of a bijector; one that broke it would add up to wrong densities.
        chex.assert_shape(log_det, x.shape[:-1])
        chex.assert_type([y, log_det], float)
        return y.astype(event.dtype), log_det

    return call


def _of_no_events(method, bijector, x, context, dtype):
    """Return an empty batch's empty result; parameters are made of a single event."""
    if bijector.is_initializing():
        given = None if context is None else jnp.ones((1, context.shape[-1]))
        method(bijector, jnp.ones((1, x.shape[-1]), x.dtype), given)
    return jnp.zeros(x.shape, dtype), jnp.zeros(x.shape[:-1], x.dtype)


def zero_log_det(x: Array) -> Array:
    """The log-determinant of a map that keeps volume: zeros of the batch's shape."""
    return jnp.zeros(x.shape[:-1], x.dtype)
