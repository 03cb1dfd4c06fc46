"""The contract of base distributions, and the precision of their parameters."""

import dataclasses
from typing import ClassVar

import flax.linen as nn
import jax.numpy as jnp

from nfml_jax.bijectors.transforms.transform import LINE, Interval
from nfml_jax.errors import UserError
from nfml_jax.ops.checks import WIDEST, check_integer, check_sizes
from nfml_jax.ops.values import Value

ZEROS = nn.initializers.zeros


class Base(Value):
    """The contract of base distributions: modules whose call gives one of distrax.

    Attributes:
      event_dim: The number of coordinates of a vector, or 0 if `event_shape` is given.
      event_shape: The shape of an event, or () for vectors of `event_dim`.
    """

    event_dim: int = 0
    event_shape: tuple[int, ...] = dataclasses.field(default=(), kw_only=True)

    least_dim: ClassVar[int] = 1
    vectors_only: ClassVar[bool] = False

    has_path: ClassVar[bool] = True
    """True if draws are differentiable in the parameters; else they have a score."""

    propagates_nan: ClassVar[bool] = False
    """True if the log-density is NaN for events with NaN, and finite for others."""

    def check_options(self):
        if not self.event_shape:
            check_integer(self, self.least_dim, WIDEST, event_dim=self.event_dim)
            return
        check_sizes(self, event_shape=self.event_shape)
        if self.vectors_only:
            raise UserError(
                f"{type(self).__name__} got event_shape={self.event_shape}; it is a "
                "distribution of vectors, so give event_dim."
            )
        if self.event_dim:
            raise UserError(
                f"{type(self).__name__} got event_dim={self.event_dim} and event_shape="
                f"{self.event_shape}; give one of them."
            )

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of an event."""
        return self.event_shape or (self.event_dim,)

    @property
    def interval(self) -> Interval:
        """The bounds of every coordinate."""
        return LINE

    @property
    def on_sphere(self) -> bool:
        """True if events are unit vectors."""
        return False

    @nn.nowrap
    def independent(self, distribution):
        """Return a distribution of numbers `[..., *shape]` as one of events."""
        import distrax

        return distrax.Independent(distribution, len(self.shape))


def dtype_of(context):
    """Return the precision of parameters: the context's, or the default."""
    return jnp.zeros(()).dtype if context is None else context.dtype
