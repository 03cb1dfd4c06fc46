"""Reshapes: events with the same numbers in another shape."""

import math
from typing import ClassVar

import flax.linen as nn
import jax.numpy as jnp

from nfml_jax.bijectors.bijector import Bijector
from nfml_jax.errors import UserError
from nfml_jax.ops.checks import check_sizes, refuse


class Reshape(Bijector):
    """An event's numbers in another shape, in the order of their memory.

    Attributes:
      before: The shape of an event x.
      after: The shape of f(x), with as many numbers.

    >>> Reshape((2, 2, 1), (4,)).apply({}, jnp.zeros((5, 2, 2, 1)))[0].shape
    (5, 4)
    """

    preserves_volume: ClassVar[bool] = True

    before: tuple[int, ...]
    after: tuple[int, ...]

    def check_options(self):
        check_sizes(self, least=1, before=self.before, after=self.after)
        if math.prod(self.before) != math.prod(self.after):
            wanted = f"a shape of {math.prod(self.before)} numbers, as `before` has"
            refuse(self, "after", self.after, wanted)

    def forward_and_log_det(self, x, context=None):
        batch = x.shape[: x.ndim - self.event_ndim]
        return x.reshape(*batch, *self.after), jnp.zeros(batch, x.dtype)

    def inverse_and_log_det(self, y, context=None):
        batch = y.shape[: y.ndim - self.event_ndim_out]
        return y.reshape(*batch, *self.before), jnp.zeros(batch, y.dtype)

    @property
    def event_ndim(self):
        return len(self.before)

    @property
    def event_ndim_out(self):
        return len(self.after)

    @nn.nowrap
    def forward_shape(self, shape):
        return self._changed(shape, self.before, self.after)

    @nn.nowrap
    def inverse_shape(self, shape):
        return self._changed(shape, self.after, self.before)

    @nn.nowrap
    def forward_context(self, context):
        return _reshaped(context, self.before, self.after)

    @nn.nowrap
    def inverse_context(self, context):
        return _reshaped(context, self.after, self.before)

    @nn.nowrap
    def _changed(self, shape, given, result):
        if shape != given:
            raise UserError(
                f"{type(self).__name__} got events of shape {list(shape)}; expected "
                f"{list(given)}."
            )
        return result


class Flatten(Reshape):
    """Images, or other events of a `shape`, as vectors.

    >>> Flatten((2, 2, 1)).apply({}, jnp.zeros((5, 2, 2, 1)))[0].shape
    (5, 4)
    """

    after: tuple[int, ...] = ()

    def __post_init__(self):
        if not self.after:
            object.__setattr__(self, "after", (math.prod(self.before),))
        super().__post_init__()


def _reshaped(context, given, result):
    """Return a map beside events of the shape `given` in the shape `result`.

    It has its own number of channels, which become all numbers of a vector.
    """
    batch = context.shape[: context.ndim - len(given)]
    places = context.shape[context.ndim - len(given) :]
    if any(size == 1 != of for size, of in zip(places[:-1], given, strict=False)):
        context = jnp.broadcast_to(context, (*batch, *given[:-1], places[-1]))
    if len(given) > 1 and len(result) > 1 and given[:-1] != result[:-1]:
        raise UserError(
            f"Reshape got a feature map beside events of shape {list(given)} that "
            f"become {list(result)}; give a vector as context."
        )
    return context.reshape(*batch, *result[:-1], -1)
