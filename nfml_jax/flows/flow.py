"""The flow: the density of a base distribution that is mapped by a bijector.

log p(x) = log q(f⁻¹(x)) + log |det ∂f⁻¹/∂x|.
"""

import dataclasses
import operator
from typing import TYPE_CHECKING, Any, ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp

from nfml_jax.bijectors import Bijector
from nfml_jax.bijectors.bijector import apply_in
from nfml_jax.bijectors.continuous import has_continuous
from nfml_jax.errors import UserError
from nfml_jax.flows.base import Base
from nfml_jax.flows.compiled import Compiled, compiled
from nfml_jax.flows.log_dets import LogDetPart, log_det_parts
from nfml_jax.ops.broadcasting import broadcasting
from nfml_jax.ops.checks import (
    WIDEST,
    check_integer,
    check_kind,
    check_sizes,
    refuse,
)
from nfml_jax.ops.events import as_floating, broadcast_events
from nfml_jax.ops.modules import any_part
from nfml_jax.ops.precision import at_least_float32

if TYPE_CHECKING:
    from nfml_jax.flows.distributions import FlowDistribution

Array = jax.Array


class Flow(Compiled):
    """The density of f(z) over events `[..., *shape]`, with z drawn from a base.

    Attributes:
      bijector: f, from the base to the data.
      base: A module of `nfml_jax.flows.bases`, whose call returns a distrax
        distribution.
      event_dim: The number of coordinates of a vector, or 0 if `event_shape` is given.
      context_dim: The number of coordinates of a context, 0 for none. With a context
        the density is conditional, and every method takes `context [..., context_dim]`.
        Its leading axes broadcast against those of the events. That of images may be a
        feature map `[..., H, W, context_dim]`, which the base does not see.
      event_shape: The shape of an event that is no vector, such as an image `[H, W,
        C]`. The base has the shape that the inverse of f gives it.

    Sizes that do not fit raise UserError.

    >>> from nfml_jax.bijectors import LU
    >>> from nfml_jax.flows.bases import Normal
    >>> flow = Flow(LU(), Normal(2), event_dim=2)
    >>> x = jnp.zeros((5, 2))
    >>> variables = flow.init(jax.random.key(0), x)
    >>> round(float(flow.apply(variables, x)[0]), 3)  # log p(x) is `__call__`
    -1.838
    >>> flow.apply(variables, jax.random.key(1), (3,), method="sample").shape
    (3, 2)
    """

    bijector: Bijector
    base: Base
    event_dim: int = 0
    context_dim: int = 0
    event_shape: tuple[int, ...] = dataclasses.field(default=(), kw_only=True)

    static: ClassVar = ("shape",)

    def check_options(self):
        check_kind(self, Bijector, bijector=self.bijector)
        check_kind(self, Base, base=self.base)
        check_integer(self, 0, WIDEST, context_dim=self.context_dim)
        if self.event_shape:
            self._check_shapes()
            return
        check_integer(self, 1, WIDEST, event_dim=self.event_dim)
        if self.base.event_dim != self.event_dim:
            wanted = f"the event_dim of the base, {self.base.event_dim}"
            refuse(self, "event_dim", self.event_dim, wanted)

    @nn.nowrap
    def _check_shapes(self):
        """Raise UserError for shapes of events and of the base that do not fit."""
        check_sizes(self, event_shape=self.event_shape, least=1)
        if self.event_dim:
            raise UserError(
                f"The flow got event_dim={self.event_dim} and event_shape="
                f"{self.event_shape}; give one of them."
            )
        ndim = len(self.event_shape)
        if self.bijector.event_ndim_out > ndim:
            wanted = f"{self.bijector.event_ndim_out} sizes, as the bijector's events"
            refuse(self, "event_shape", self.event_shape, wanted)
        if self.base.shape != self.base_shape:
            raise UserError(
                f"The base has events of shape {self.base.shape}, and those of the "
                f"flow's shape {self.event_shape} are {self.base_shape} there; give "
                "that one."
            )

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of an event."""
        return self.event_shape or (self.event_dim,)

    @property
    def estimates(self) -> bool:
        """True if log-determinants are estimated where a "log_det" key is given."""
        return any_part(self.bijector, lambda part: getattr(part, "estimates", False))

    @property
    def base_shape(self) -> tuple[int, ...]:
        """The shape of an event of the base."""
        split = len(self.shape) - self.bijector.event_ndim_out
        inside = self.bijector.inverse_shape(self.shape[split:])
        return (*self.shape[:split], *inside)

    @compiled
    @broadcasting
    def log_prob(self, x: Array, context: Array | None = None) -> Array:
        """Return log p(x | context) in nats, `[...]` for `x [..., *shape]`.

        It is minus infinity, with gradients of zero, where no draw is possible. It is
        NaN for an event that contains NaN.
        """
        x = at_least_float32(as_floating("events", x))
        self._check("events", x, self.shape)
        ndim = len(self.shape)
        x, context = broadcast_events(x, self._context(context), ndim)
        z, log_det = apply_in(self.bijector, x, context, ndim, inverse=True)
        log_prob = self.base(self._vector(context)).log_prob(z) + log_det
        if self.bijector.covers_line and self.base.propagates_nan:
            # No event is outside, and NaN in an event has reached the sum already.
            return log_prob
        log_prob = jnp.where(log_det == -jnp.inf, -jnp.inf, log_prob)
        axes = tuple(range(-ndim, 0))
        missing = jnp.isnan(x).any(axes)
        missing |= jnp.isnan(z).any(tuple(range(-len(self.base_shape), 0)))
        return jnp.where(missing, jnp.nan, log_prob)

    __call__ = log_prob

    @compiled
    @broadcasting
    def from_base(self, z: Array, context: Array | None = None) -> tuple[Array, Array]:
        """Return the events f(z) of base events `z`, and log |det ∂f/∂z|."""
        self._check("base events", z, self.base_shape)
        context = self._context(context)
        return apply_in(self.bijector, z, context, len(self.base_shape))

    @compiled
    @broadcasting
    def to_base(self, x: Array, context: Array | None = None) -> tuple[Array, Array]:
        """Return the base events f⁻¹(x) of events `x`, and log |det ∂f⁻¹/∂x|."""
        self._check("events", x, self.shape)
        context = self._context(context)
        return apply_in(self.bijector, x, context, len(self.shape), inverse=True)

    @compiled
    @broadcasting
    def log_det_parts(self, x: Array, context: Array | None = None) -> list[LogDetPart]:
        """Return the log-determinant of each part for events x, from data to base.

        They add up to the log-determinant of `to_base`. Each has a name and its limit,
        where its map has one; parts that preserve volume are left out.
        """
        x = at_least_float32(as_floating("events", x))
        self._check("events", x, self.shape)
        ndim = len(self.shape)
        x, context = broadcast_events(x, self._context(context), ndim)
        keys = (
            {"log_det": self.make_rng("log_det")} if self.has_rng("log_det") else None
        )
        return log_det_parts(*self.unbind(), x, context, ndim, keys)

    @compiled
    @broadcasting
    def sample(
        self, key: Array, shape: tuple[int, ...] = (), context: Array | None = None
    ) -> Array:
        """Return draws `[*shape, *batch, *event]`, with the batch of the context.

        A continuous flow of images estimates the log-determinants, which its solver
        computes along the way: exact ones take a pass for each number of an image.
        """
        if len(self.shape) > 1 and has_continuous(self) and not self.has_rng("log_det"):
            module, variables = self.unbind()
            drawn: Any = nn.Module.apply(
                module,
                variables,
                key,
                shape,
                context,
                method="sample",
                rngs={"log_det": jax.random.key(0)},
            )
            return drawn
        return self.sample_and_log_prob(key, shape, context)[0]

    @compiled
    @broadcasting
    def sample_and_log_prob(
        self, key: Array, shape: tuple[int, ...] = (), context: Array | None = None
    ) -> tuple[Array, Array]:
        """Return draws as `sample` does, and their log-densities, in one pass."""
        return self.sample_with_score(key, shape, context)[:2]

    @compiled
    def sample_with_score(
        self, key: Array, shape: tuple[int, ...] = (), context: Array | None = None
    ) -> tuple[Array, Array, Array]:
        """Return draws, log-densities, and a term whose gradient is the draws' score.

        The first two results are those of `sample_and_log_prob`. The third has, as its
        gradient, the score of that part of the draws that is not differentiable. It is
        zero for most bases, and the base's score for a resampled base. The gradient of
        E[f(x)] is the mean gradient of f(x) plus the mean of f(x) times this score.
        """
        context = self._context(context)
        shape = _as_shape(shape)
        base = self.base(self._vector(context))
        if context is not None:
            # Batch axes of the context that the base already has are not added.
            batch = context.shape[: context.ndim - self.context_axes(context)]
            shape += batch[: len(batch) - len(base.batch_shape)]
        z, log_prob = base.sample_and_log_prob(seed=key, sample_shape=shape)
        if context is not None and self.context_axes(context) > 1:
            # A map has as many axes as the events.
            ones = (1,) * (z.ndim - context.ndim)
            context = context.reshape(*ones, *context.shape)
        x, log_det = apply_in(self.bijector, z, context, len(self.base_shape))
        log_prob = log_prob - log_det
        if self.base.has_path:
            return x, log_prob, jnp.zeros_like(log_prob)
        return x, log_prob, base.log_prob(jax.lax.stop_gradient(z))

    @broadcasting
    def sample_path(self, key: Array, n: int) -> tuple[Array, Array]:
        """Return `n` draws of the base and of the flow, `[n, *shape]`, for a figure.

        Applied with `mutable=["intermediates"]` it also returns the events after each
        layer of a stack; see `nfml_jax.loading.flows.path`.
        """
        z = self.base(None).sample(seed=key, sample_shape=(n,))
        return z, apply_in(self.bijector, z, None, len(self.base_shape))[0]

    def distribution(self, context: Array | None = None) -> "FlowDistribution":
        """Return a bound flow with a context as a `distrax.Distribution`.

        It is a pytree of the variables and the context. Its batch is the context's.
        """
        # distrax takes seconds to import.
        from nfml_jax.flows.distributions import FlowDistribution

        return FlowDistribution(self, context)

    def _context(self, context):
        if (context is None) != (self.context_dim == 0):
            raise UserError(
                f"The flow was made with context_dim = {self.context_dim} and was "
                f"given {'no' if context is None else 'a'} context; make it with the "
                "context's size, 0 for none."
            )
        if context is None:
            return None
        context = at_least_float32(as_floating("contexts", context))
        self._check("the context", context, (self.context_dim,))
        return context

    @nn.nowrap
    def context_axes(self, context) -> int:
        """Return the number of axes of one context: 1 of a vector, more of a map."""
        ndim = len(self.shape)
        places = context.shape[-ndim:-1]
        is_map = ndim > 1 and context.ndim >= ndim and places == self.shape[:-1]
        return ndim if is_map else 1

    @nn.nowrap
    def _vector(self, context):
        """Return the context of the base: None in place of a map."""
        if context is None or self.context_axes(context) > 1:
            return None
        return context

    @staticmethod
    def _check(what, x, shape):
        if len(shape) > 1 and x.shape[x.ndim - len(shape) :] != shape:
            raise UserError(
                f"The flow was made for {what} of shape {list(shape)} but got an array "
                f"of shape {list(x.shape)}; its last axes must be these: height, width "
                "and channels of an image."
            )
        if len(shape) == 1 and (x.ndim == 0 or x.shape[-1] != shape[0]):
            raise UserError(
                f"The flow was made for {what} of {shape[0]} coordinates but got an "
                f"array of shape {list(x.shape)}; its last axis must be {shape[0]}."
            )


def _as_shape(shape) -> tuple[int, ...]:
    """Return a shape, or a number for a single axis, as a tuple of integers."""
    try:
        return (operator.index(shape),)
    except TypeError:
        return tuple(operator.index(size) for size in shape)
