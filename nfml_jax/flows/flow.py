"""A flow: a base distribution seen through a bijector, which makes it a density.

log p(x) = log q(f⁻¹(x)) + log |det ∂f⁻¹/∂x|.
"""

import operator
from typing import TYPE_CHECKING, ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp

from nfml_jax.bijectors import Bijector
from nfml_jax.errors import UserError
from nfml_jax.flows.compiled import Compiled, compiled
from nfml_jax.ops.broadcasting import broadcasting
from nfml_jax.ops.checks import WIDEST, check_integer, check_kind, refuse
from nfml_jax.ops.events import as_floating, broadcast_events
from nfml_jax.ops.precision import at_least_float32

if TYPE_CHECKING:
    from nfml_jax.flows.distributions import FlowDistribution

Array = jax.Array


class Flow(Compiled):
    """The density of f(z), z drawn from `base`, over events `[..., event_dim]`.

    `base` is a module of `nfml_jax.flows.bases`, which gives a distrax distribution.
    With `context_dim` the density is conditional, and every method takes `context
    [..., context_dim]`; its leading axes broadcast against the events'. Sizes that do
    not fit raise UserError.

        variables = flow.init(key, x)
        flow.apply(variables, x)                                  # log p(x), [...]
        flow.apply(variables, key, (1000,), method="sample")      # [1000, event_dim]
    """

    bijector: Bijector
    base: nn.Module
    event_dim: int
    context_dim: int = 0

    static: ClassVar = ("shape",)

    def check_options(self):
        check_kind(self, Bijector, bijector=self.bijector)
        check_kind(self, nn.Module, base=self.base)
        check_integer(self, 1, WIDEST, event_dim=self.event_dim)
        check_integer(self, 0, WIDEST, context_dim=self.context_dim)
        of_base = getattr(self.base, "event_dim", self.event_dim)
        if of_base != self.event_dim:
            wanted = f"the event_dim of the base, {of_base}"
            refuse(self, "event_dim", self.event_dim, wanted)

    @compiled
    @broadcasting
    def log_prob(self, x: Array, context: Array | None = None) -> Array:
        """Return log p(x | context) in nats, `[...]` for `x [..., event_dim]`.

        It is minus infinity where no draw can be, with gradients of zero, and NaN for
        an event that holds NaN.
        """
        x = at_least_float32(as_floating("events", x))
        self._check("events", x, self.event_dim)
        x, context = broadcast_events(x, self._context(context))
        z, log_det = self.bijector.inverse_and_log_det(x, context)
        log_prob = self.base(context).log_prob(z) + log_det
        if self.bijector.covers_line and getattr(self.base, "propagates_nan", False):
            # Nothing lies outside, and the sum is NaN already where an event is.
            return log_prob
        log_prob = jnp.where(log_det == -jnp.inf, -jnp.inf, log_prob)
        missing = jnp.isnan(x).any(-1) | jnp.isnan(z).any(-1)
        return jnp.where(missing, jnp.nan, log_prob)

    __call__ = log_prob

    @compiled
    @broadcasting
    def sample(
        self, key: Array, shape: tuple[int, ...] = (), context: Array | None = None
    ) -> Array:
        """Draws `[*shape, *batch, event_dim]`, `batch` the context's leading axes."""
        return self.sample_and_log_prob(key, shape, context)[0]

    @compiled
    @broadcasting
    def sample_and_log_prob(
        self, key: Array, shape: tuple[int, ...] = (), context: Array | None = None
    ) -> tuple[Array, Array]:
        """Draws as `sample` does, and their log-densities, for one pass forward."""
        return self.sample_with_score(key, shape, context)[:2]

    @compiled
    def sample_with_score(
        self, key: Array, shape: tuple[int, ...] = (), context: Array | None = None
    ) -> tuple[Array, Array, Array]:
        """Draws and log-densities as `sample_and_log_prob`, and what draws lack.

        The third result has, as its gradient, the score of that part of the draws
        through which no gradient goes: zero for most bases; of a resampled base, the
        base's. The gradient of E[f(x)] is that of the mean of f(x), and f(x) times it.
        """
        context = self._context(context)
        shape = _as_shape(shape)
        base = self.base(context)
        if context is not None:
            # What the base already has of the context's batch is not drawn again.
            batch = context.shape[:-1]
            shape += batch[: len(batch) - len(base.batch_shape)]
        z, log_prob = base.sample_and_log_prob(seed=key, sample_shape=shape)
        x, log_det = self.bijector.forward_and_log_det(z, context)
        log_prob = log_prob - log_det
        if getattr(self.base, "has_path", True):
            return x, log_prob, jnp.zeros_like(log_prob)
        return x, log_prob, base.log_prob(jax.lax.stop_gradient(z))

    @broadcasting
    def sample_path(self, key: Array, n: int) -> tuple[Array, Array]:
        """`n` draws from the base `[n, D]`, and of the flow; for a figure.

        Applied with `mutable=["intermediates"]` it also gives the events after each
        layer of a stack, see `nfml_jax.loading.flows.path`.
        """
        z = self.base(None).sample(seed=key, sample_shape=(n,))
        return z, self.bijector.forward(z)

    def distribution(self, context: Array | None = None) -> "FlowDistribution":
        """Return a bound flow, given its context, as a `distrax.Distribution`.

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
        self._check("the context", context, self.context_dim)
        return context

    @staticmethod
    def _check(what, x, size):
        if x.ndim == 0 or x.shape[-1] != size:
            raise UserError(
                f"The flow was made for {what} of {size} coordinates but got an array "
                f"of shape {list(x.shape)}; its last axis must be {size}."
            )


def _as_shape(shape) -> tuple[int, ...]:
    """A shape, or a number for a single axis, of any kind of integer."""
    try:
        return (operator.index(shape),)
    except TypeError:
        return tuple(operator.index(size) for size in shape)
