"""Bijectors made of bijectors: chains and inverses."""

import flax.linen as nn
import jax

from nfml_jax.bijectors.bijector import Bijector, apply_in, zero_log_det
from nfml_jax.errors import UserError
from nfml_jax.ops.checks import check_kind, refuse
from nfml_jax.ops.events import is_map

Array = jax.Array

PRESERVES = "a bijector that preserves the event's shape"


class ShapePreserving(Bijector):
    """The base class of bijectors made of others whose two directions are alike.

    A subclass implements `mapped` for both directions, and `forward_shape`.
    """

    def mapped(
        self, x: Array, context: Array | None, *, inverse: bool
    ) -> tuple[Array, Array]:
        """Return the event in one direction and its log-determinant `[*batch]`."""
        raise NotImplementedError

    def forward_and_log_det(self, x, context=None):
        return self.mapped(x, context, inverse=False)

    def inverse_and_log_det(self, y, context=None):
        return self.mapped(y, context, inverse=True)

    @nn.nowrap
    def inverse_shape(self, shape):
        return self.forward_shape(shape)

    @nn.nowrap
    def check_part(self, **parts: Bijector) -> None:
        """Raise UserError for parts whose events have other axes after than before."""
        for name, part in parts.items():
            if part.event_ndim != part.event_ndim_out:
                refuse(self, name, part, PRESERVES)


class Chain(Bijector):
    """The composition of several bijectors.

    `forward` applies the first one first, and the log-determinants are summed. All get
    the same context; a feature map follows the bijectors that move pixels.

    Events have the axes of the bijector with the most. One with fewer acts along the
    last axes at each place of the others, so that a chain of images can contain maps of
    vectors, which act on each pixel's channels.

    >>> import jax.numpy as jnp
    >>> from nfml_jax.bijectors import Elementwise, Exp, Reverse
    >>> chain = Chain((Reverse(), Elementwise(Exp())))
    >>> y, log_det = chain.apply({}, jnp.array([[0.0, 0.5, 1.0]]))
    >>> [round(float(value), 3) for value in y[0]], log_det.tolist()
    ([2.718, 1.649, 1.0], [1.5])
    """

    bijectors: tuple[Bijector, ...]

    def check_options(self):
        check_kind(self, tuple, bijectors=self.bijectors)
        for bijector in self.bijectors:
            check_kind(self, Bijector, bijectors=bijector)
        self._ndims()

    def forward_and_log_det(self, x, context=None):
        total = zero_log_det(x, self.event_ndim)
        moves = is_map(context, x, self.event_ndim)
        for bijector, ndim in zip(self.bijectors, self._ndims()[:-1], strict=True):
            x, log_det = apply_in(bijector, x, context, ndim)
            if moves and context is not None:
                context = bijector.forward_context(context)
            total += log_det
        return x, total

    def inverse_and_log_det(self, y, context=None):
        total = zero_log_det(y, self.event_ndim_out)
        moves = is_map(context, y, self.event_ndim_out)
        parts = zip(self.bijectors, self._ndims()[1:], strict=True)
        for bijector, ndim in reversed(list(parts)):
            y, log_det = apply_in(bijector, y, context, ndim, inverse=True)
            if moves and context is not None:
                context = bijector.inverse_context(context)
            total += log_det
        return y, total

    @property
    def event_ndim(self):
        return self._ndims()[0]

    @property
    def event_ndim_out(self):
        return self._ndims()[-1]

    @nn.nowrap
    def forward_shape(self, shape):
        for bijector in self.bijectors:
            shape = bijector.forward_shape(shape)
        return shape

    @nn.nowrap
    def inverse_shape(self, shape):
        for bijector in reversed(self.bijectors):
            shape = bijector.inverse_shape(shape)
        return shape

    @nn.nowrap
    def forward_context(self, context):
        for bijector in self.bijectors:
            context = bijector.forward_context(context)
        return context

    @nn.nowrap
    def inverse_context(self, context):
        for bijector in reversed(self.bijectors):
            context = bijector.inverse_context(context)
        return context

    @nn.nowrap
    def _ndims(self) -> list[int]:
        """Return the number of an event's axes before each bijector and after all.

        A bijector that changes the number, such as `Flatten`, fixes it around itself.
        Otherwise it is the greatest of the bijectors up to the next change.
        """
        ndims, known, pending = [], None, []
        for bijector in self.bijectors:
            before, after = bijector.event_ndim, bijector.event_ndim_out
            pending.append(before)
            if before != after:
                ndims += self._agreed(pending, before if known is None else known)
                known, pending = after, []
                if ndims[-1] != before:
                    self._refuse_axes(before, ndims[-1])
        last = max(pending, default=1) if known is None else known
        return [*ndims, *self._agreed(pending, last), last]

    @nn.nowrap
    def _agreed(self, pending, ndim):
        """Return `ndim` for each of the `pending` bijectors; none has more axes."""
        if max(pending, default=0) > ndim:
            self._refuse_axes(max(pending), ndim)
        return [ndim] * len(pending)

    @nn.nowrap
    def _refuse_axes(self, wanted, given):
        raise UserError(
            f"Chain got bijectors of which one takes events of {wanted} axes where "
            f"events have {given}; expected a Reshape between them."
        )


class Inverse(Bijector):
    """The inverse of a bijector.

    It is of use where the inverse is the direction that should be fast, as in a masked
    autoregressive flow.

    >>> import jax.numpy as jnp
    >>> from nfml_jax.bijectors import Elementwise, Exp
    >>> log = Inverse(Elementwise(Exp()))
    >>> y, log_det = log.apply({}, jnp.array([[1.0, 2.0, 4.0]]))
    >>> [round(float(value), 3) for value in y[0]], round(float(log_det[0]), 3)
    ([0.0, 0.693, 1.386], -2.079)
    """

    bijector: Bijector

    def check_options(self):
        check_kind(self, Bijector, bijector=self.bijector)

    def forward_and_log_det(self, x, context=None):
        return self.bijector.inverse_and_log_det(x, context)

    def inverse_and_log_det(self, y, context=None):
        return self.bijector.forward_and_log_det(y, context)

    @property
    def event_ndim(self):
        return self.bijector.event_ndim_out

    @property
    def event_ndim_out(self):
        return self.bijector.event_ndim

    @nn.nowrap
    def forward_shape(self, shape):
        return self.bijector.inverse_shape(shape)

    @nn.nowrap
    def inverse_shape(self, shape):
        return self.bijector.forward_shape(shape)

    @nn.nowrap
    def forward_context(self, context):
        return self.bijector.inverse_context(context)

    @nn.nowrap
    def inverse_context(self, context):
        return self.bijector.forward_context(context)
