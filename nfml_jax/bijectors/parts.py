"""Bijectors of a part of an event, or of an event in another form."""

import flax.linen as nn
import jax.numpy as jnp

from nfml_jax.bijectors.bijector import Bijector, apply_in
from nfml_jax.bijectors.combinators import PRESERVES, ShapePreserving
from nfml_jax.errors import UserError
from nfml_jax.ops.checks import check_integer, check_kind, refuse
from nfml_jax.ops.events import is_map


class Partial(ShapePreserving):
    """A bijector of the first channels only; the other channels stay.

    This is how a flow of several scales factors out channels (Dinh et al. 2017, section
    3.6): the rest of the flow is a `Partial` of it. The event's shape is preserved, so
    that latents are one array, and parts nest. A `Coupling` of the factored-out
    channels on the others, after a `Partial` from base to data, is their learned prior.

    Attributes:
      bijector: The bijector, which preserves the shape of its events.
      channels: The number of channels that it maps; the default is half of them, the
        odd one left out.

    >>> from nfml_jax.bijectors import Elementwise, Exp
    >>> x = jnp.zeros((1, 4))
    >>> Partial(Elementwise(Exp())).apply({}, x, method="forward").tolist()
    [[1.0, 1.0, 0.0, 0.0]]
    """

    bijector: Bijector
    channels: int | None = None

    def check_options(self):
        check_kind(self, Bijector, bijector=self.bijector)
        check_integer(self, 1, optional=True, channels=self.channels)
        self.check_part(bijector=self.bijector)

    @property
    def event_ndim(self):
        return self.bijector.event_ndim

    @nn.nowrap
    def forward_shape(self, shape):
        part = *shape[:-1], self.count(shape[-1])
        if self.bijector.forward_shape(part) != part:
            refuse(self, "bijector", self.bijector, PRESERVES)
        return shape

    def mapped(self, x, context, *, inverse):
        count = self.count(x.shape[-1])
        part, rest = x[..., :count], x[..., count:]
        ndim = self.event_ndim
        part, log_det = apply_in(self.bijector, part, context, ndim, inverse=inverse)
        return jnp.concatenate([part, rest], axis=-1), log_det

    @nn.nowrap
    def count(self, channels: int) -> int:
        """Return the number of channels that are mapped, of events of `channels`."""
        count = channels // 2 if self.channels is None else self.channels
        if not 1 <= count <= channels:
            raise UserError(
                f"Partial got channels={self.channels} for events of {channels} "
                f"channels; expected a number from 1 to {channels}, which for None is "
                "half of them."
            )
        return count


class Conjugate(ShapePreserving):
    """The composition f⁻¹ ∘ g ∘ f: a bijector g of events in the form that f gives.

    With f a `Squeeze`, g maps smaller images of more channels; with a `Flatten`, it
    maps vectors. As f is undone afterwards, the event's shape is preserved.

    Attributes:
      change: The bijector f, applied first in both directions.
      bijector: The bijector g, which preserves the shape of its events.

    >>> from nfml_jax.bijectors import Flatten, Reverse
    >>> x = jnp.arange(4.0).reshape(1, 2, 2, 1)
    >>> upside_down = Conjugate(Flatten((2, 2, 1)), Reverse())
    >>> upside_down.apply({}, x, method="forward").ravel().tolist()
    [3.0, 2.0, 1.0, 0.0]
    """

    change: Bijector
    bijector: Bijector

    def check_options(self):
        check_kind(self, Bijector, change=self.change, bijector=self.bijector)
        inner = self.bijector
        self.check_part(bijector=inner)
        if inner.event_ndim > self.change.event_ndim_out:
            wanted = (
                f"a bijector of events of {self.change.event_ndim_out} axes, since "
                "`change` gives those"
            )
            refuse(self, "bijector", inner, wanted)

    @property
    def event_ndim(self):
        return self.change.event_ndim

    @nn.nowrap
    def forward_shape(self, shape):
        inside = self.change.forward_shape(shape)
        if self.bijector.forward_shape(inside) != inside:
            refuse(self, "bijector", self.bijector, PRESERVES)
        return self.change.inverse_shape(inside)

    def mapped(self, x, context, *, inverse):
        inside, ndim = context, self.change.event_ndim_out
        if context is not None and is_map(context, x, self.event_ndim):
            inside = self.change.forward_context(context)
        x, before = self.change.forward_and_log_det(x, context)
        x, log_det = apply_in(self.bijector, x, inside, ndim, inverse=inverse)
        x, after = self.change.inverse_and_log_det(x, inside)
        return x, before + log_det + after
