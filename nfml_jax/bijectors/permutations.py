"""Reorderings of coordinates, which let couplings reach them all."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from nfml_jax.bijectors.bijector import Bijector, zero_log_det
from nfml_jax.ops.checks import check_sizes, refuse

# The collection of numbers that are drawn once and never trained.
CONSTANTS = "constants"


class Reverse(Bijector):
    """The coordinates in the opposite order."""

    def forward_and_log_det(self, x, context=None):
        return jnp.flip(x, -1), zero_log_det(x)

    def inverse_and_log_det(self, y, context=None):
        return jnp.flip(y, -1), zero_log_det(y)


class Permutation(Bijector):
    """A fixed order: the one given, or one drawn when the module is initialised.

    y_i = x_{order_i}. A drawn order lies in the collection "constants".
    """

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
        """Raise UserError unless the order has each of `count` coordinates once."""
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
