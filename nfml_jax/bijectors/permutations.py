"""Reorderings of coordinates, so that a stack of couplings transforms all of them."""

from typing import ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp

from nfml_jax.bijectors.bijector import OnLastAxis, zero_log_det
from nfml_jax.ops.checks import check_sizes, refuse

# The collection of numbers that are drawn once and never trained.
CONSTANTS = "constants"


class Reverse(OnLastAxis):
    """The coordinates in reverse order.

    >>> y, log_det = Reverse().apply({}, jnp.array([[0.0, 0.5, 1.0]]))
    >>> y.tolist(), log_det.tolist()
    ([[1.0, 0.5, 0.0]], [0.0])
    """

    preserves_volume: ClassVar[bool] = True

    def forward_and_log_det(self, x, context=None):
        return jnp.flip(x, -1), zero_log_det(x)

    def inverse_and_log_det(self, y, context=None):
        return jnp.flip(y, -1), zero_log_det(y)


class Permutation(OnLastAxis):
    """The coordinates in a fixed order, y_i = x_{order_i}.

    Without an `order` one is drawn when the module is initialized, and stored in the
    collection "constants".

    >>> layer = Permutation(order=(2, 0, 1))
    >>> layer.apply({}, jnp.array([[0.0, 0.5, 1.0]]), method="forward").tolist()
    [[1.0, 0.0, 0.5]]
    """

    preserves_volume: ClassVar[bool] = True

    order: tuple[int, ...] | None = None

    def check_options(self):
        if self.order is not None:
            check_sizes(self, 0, order=self.order)
            self._check_order(self.order, len(self.order))

    def forward_and_log_det(self, x, context=None):
        return x[..., self._order(x)], zero_log_det(x)

    def inverse_and_log_det(self, y, context=None):
        return y[..., jnp.argsort(self._order(y))], zero_log_det(y)

    @nn.nowrap
    def _check_order(self, order, count):
        """Raise UserError unless `order` has each of `count` coordinates once."""
        if sorted(order) != list(range(count)):
            wanted = f"each coordinate from 0 to {count - 1} once"
            refuse(self, "order", order, wanted)

    @nn.compact
    def _order(self, x):
        if self.order is not None:
            self._check_order(self.order, x.shape[-1])
            return jnp.asarray(self.order)

        def draw():
            return jax.random.permutation(self.make_rng("params"), x.shape[-1])

        return self.variable(CONSTANTS, "order", draw).value
