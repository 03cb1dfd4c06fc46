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

from nfml_jax.ops.events import together
from nfml_jax.ops.values import Value

Array = jax.Array


class Bijector(Value):
    """An invertible map of events `[..., D]`; all leading axes are batch.

    A subclass gives `forward_and_log_det` and `inverse_and_log_det`, both from the same
    parameters; the rest is derived. `context [..., C]` conditions the map; its leading
    axes broadcast against the event's, and results have the batch of both. Within the
    two methods events have all batch axes already.
    """

    def __init_subclass__(cls, **options):
        for name in "forward_and_log_det", "inverse_and_log_det":
            if name in cls.__dict__:
                setattr(cls, name, _of_broadcast_events(cls.__dict__[name]))
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


def _of_broadcast_events(method: Callable) -> Callable:
    """Return a method whose events are floats with all batch axes of the context."""
    signature = inspect.signature(method)

    @functools.wraps(method)
    def call(self, *args, **kwargs):
        _, event, *context = signature.bind(self, *args, **kwargs).args
        event, *context = together(event, *context)
        image, log_det = method(self, event, *context)
        # The contract of a bijector; one that broke it would add up to wrong densities.
        chex.assert_shape(log_det, event.shape[:-1])
        chex.assert_type([image, log_det], float)
        return image, log_det

    return call


def zero_log_det(x: Array) -> Array:
    """The log-determinant of a map that keeps volume: zeros of the batch's shape."""
    return jnp.zeros(x.shape[:-1], x.dtype)
