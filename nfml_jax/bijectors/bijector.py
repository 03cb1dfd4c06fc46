"""The bijector: an invertible map of vectors, with its log-determinant.

Forward goes from the base to the data, as in distrax. A bijector is a Flax module. Its
parameters take their shapes from the first event, so no sizes are given.
"""

import dataclasses
import functools
import inspect
from collections.abc import Callable

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp

from nfml_jax.ops.broadcasting import broadcasting
from nfml_jax.ops.events import broadcast_events
from nfml_jax.ops.precision import at_least_float32
from nfml_jax.ops.values import Value

Array = jax.Array


class Bijector(Value):
    """An invertible map of events `[..., D]`; all leading axes are batch.

    A subclass implements `forward_and_log_det` and `inverse_and_log_det` with the same
    parameters. The other methods follow from these two. A `context` `[..., C]`
    conditions the map. Its leading axes broadcast against the event's, and results have
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

    def __init_subclass__(cls, **options):
        # Before Flax sees the methods.
        for name in ("forward_and_log_det", "inverse_and_log_det"):
            if name in vars(cls):
                setattr(cls, name, _with_contract(vars(cls)[name]))
        super().__init_subclass__(**options)

    def forward_and_log_det(
        self, x: Array, context: Array | None = None
    ) -> tuple[Array, Array]:
        """Return y = f(x) `[..., D]` and log |det ∂y/∂x| `[...]`."""
        raise NotImplementedError

    def inverse_and_log_det(
        self, y: Array, context: Array | None = None
    ) -> tuple[Array, Array]:
        """Return x = f⁻¹(y) `[..., D]` and log |det ∂x/∂y| `[...]`."""
        raise NotImplementedError

    def forward(self, x: Array, context: Array | None = None) -> Array:
        """Return y = f(x), `[..., D]`."""
        return self.forward_and_log_det(x, context)[0]

    def inverse(self, y: Array, context: Array | None = None) -> Array:
        """Return x = f⁻¹(y), `[..., D]`."""
        return self.inverse_and_log_det(y, context)[0]

    @property
    def covers_line(self) -> bool:
        """True if every event of finite numbers is in the image of this map.

        It is false if a transform within the map has a bounded domain or codomain.
        """
        fields = {field.name for field in dataclasses.fields(self)} - {"parent"}
        parts = jax.tree.leaves(
            [getattr(self, name) for name in sorted(fields)],
            is_leaf=lambda part: isinstance(part, nn.Module),
        )
        return all(getattr(part, "covers_line", True) for part in parts)

    def __call__(self, x: Array, context: Array | None = None):
        return self.forward_and_log_det(x, context)


def _with_contract(method: Callable) -> Callable:
    """Return `method`, a direction of a bijector, with the contract of all of them."""
    signature = inspect.signature(method)

    @broadcasting
    @functools.wraps(method)
    def call(self, *args, **kwargs):
        _, event, *context = signature.bind(self, *args, **kwargs).args
        event, context = broadcast_events(event, *context)
        x = at_least_float32(event)
        context = None if context is None else at_least_float32(context)
        if 0 in x.shape[:-1]:
            return _empty_result(method, self, x, context, event.dtype)
        y, log_det = method(self, x, context)
        # The contract of a bijector; one that broke it would add up to wrong densities.
        chex.assert_shape(log_det, x.shape[:-1])
        chex.assert_type([y, log_det], float)
        return y.astype(event.dtype), log_det

    return call


def _empty_result(method, bijector, x, context, dtype):
    """Return the result of an empty batch; parameters follow from an event of ones."""
    if bijector.is_initializing():
        given = None if context is None else jnp.ones((1, context.shape[-1]))
        method(bijector, jnp.ones((1, x.shape[-1]), x.dtype), given)
    return jnp.zeros(x.shape, dtype), jnp.zeros(x.shape[:-1], x.dtype)


def zero_log_det(x: Array) -> Array:
    """Return the log-determinant of a map that preserves volume, zeros `[...]`."""
    return jnp.zeros(x.shape[:-1], x.dtype)
