"""Distributions of distrax: that of a flow, and bases that distrax lacks.

Each is a pytree, so it can pass through jit, vmap, scan and `jax.tree.map`. Arrays are
its leaves. Modules are static, so that other variables need no new compilation.
"""

import distrax
import jax
import jax.numpy as jnp

from nfml_jax.ops import control_flow
from nfml_jax.ops.broadcasting import broadcasting

Array = jax.Array


# Beyond this distance Student's t is a power of the distance to all digits.
FAR_OUT = 1e16


class FlowDistribution(distrax.Distribution):
    """A flow with its variables and a context, as a distrax distribution.

    `flow` is a bound flow. Random keys that it is bound with are used again at each
    call. Within a call whose variables are mutable, such as `init`, the distribution
    changes the module that made it, and is valid within that call only.

    >>> from nfml_jax import flows
    >>> flow = flows.independent(event_dim=2)
    >>> variables = jax.eval_shape(flow.init, jax.random.key(0), jnp.zeros((1, 2)))
    >>> variables = jax.tree.map(lambda v: jnp.zeros(v.shape), variables)
    >>> distribution = FlowDistribution(flow.bind(variables))
    >>> distribution.event_shape, distribution.batch_shape
    ((2,), ())
    """

    def __init__(self, flow, context: Array | None = None):
        self._context, self._variables, self._rngs = context, None, None
        self._flow = flow
        if not flow.scope.mutable:
            self._rngs = {n: k.as_jax_rng() for n, k in flow.scope.rngs.items()}
            self._flow, self._variables = flow.unbind()

    def tree_flatten(self):
        return (self._variables, self._rngs, self._context), self._flow

    @classmethod
    def tree_unflatten(cls, flow, leaves):
        new = object.__new__(cls)
        new._flow = flow
        new._variables, new._rngs, new._context = leaves
        return new

    @property
    def flow(self):
        """The module, without its variables."""
        return self._flow

    @property
    def event_shape(self) -> tuple[int, ...]:
        return self._flow.shape

    @property
    def batch_shape(self) -> tuple[int, ...]:
        if self._context is None:
            return ()
        shape = jnp.shape(self._context)
        return shape[: len(shape) - self._flow.context_axes(jnp.asarray(self._context))]

    def log_prob(self, value: Array) -> Array:
        return self._call("log_prob", value)

    def from_base(self, z: Array) -> tuple[Array, Array]:
        """Return `Flow.from_base` of events of the base."""
        return self._call("from_base", z)

    def to_base(self, x: Array) -> tuple[Array, Array]:
        """Return the base events f⁻¹(x) of events `x`, and log |det ∂f⁻¹/∂x|."""
        return self._call("to_base", x)

    def _sample_n(self, key, n):
        return self._call("sample", key, (n,))

    def _sample_n_and_log_prob(self, key, n):
        return self._call("sample_and_log_prob", key, (n,))

    def _call(self, method, *args):
        args = *args, self._context
        if self._variables is None:
            return getattr(self._flow, method)(*args)
        rngs = self._rngs or None
        return self._flow.apply(self._variables, *args, rngs=rngs, method=method)


class StudentT(distrax.Distribution):
    """Student's t with degrees of freedom `df [...]` and location zero."""

    def __init__(self, df: Array):
        self._df = df

    @property
    def event_shape(self):
        return ()

    @property
    def batch_shape(self):
        return self._df.shape

    @broadcasting
    def log_prob(self, value):
        # At large distances a square would overflow, and 1 + t² / df equals t² / df.
        far = jnp.abs(value) > FAR_OUT
        near = jax.scipy.stats.t.logpdf(jnp.where(far, 1.0, value), self._df)
        size = jnp.where(far, jnp.abs(value), 1.0)
        start = jax.scipy.stats.t.logpdf(jnp.zeros_like(value), self._df)
        log_ratio = 2 * jnp.log(size) - jnp.log(self._df)
        return jnp.where(far, start - (self._df + 1) / 2 * log_ratio, near)

    @broadcasting
    def _sample_n(self, key, n):
        return jax.random.t(key, self._df, (n, *self._df.shape), self._df.dtype)


class UniformSphere(distrax.Distribution):
    """Unit vectors of `size` coordinates, uniform by the area of the sphere."""

    def __init__(self, size: int):
        self._size = size

    @property
    def event_shape(self):
        return (self._size,)

    @property
    def batch_shape(self):
        return ()

    def log_prob(self, value):
        half = self._size / 2
        log_area = jnp.log(2) + half * jnp.log(jnp.pi) - jax.lax.lgamma(half)
        return jnp.full(value.shape[:-1], -log_area, value.dtype)

    def _sample_n(self, key, n):
        x = jax.random.normal(key, (n, self._size))
        return x / jnp.linalg.norm(x, axis=-1, keepdims=True)


class Reshaped(distrax.Distribution):
    """A distribution of vectors as one of arrays of `shape`, such as images."""

    def __init__(self, distribution, shape: tuple[int, ...]):
        self._distribution, self._shape = distribution, tuple(shape)

    def tree_flatten(self):
        return (self._distribution,), self._shape

    @classmethod
    def tree_unflatten(cls, shape, leaves):
        new = object.__new__(cls)
        new._shape = shape
        (new._distribution,) = leaves
        return new

    @property
    def event_shape(self):
        return self._shape

    @property
    def batch_shape(self):
        return self._distribution.batch_shape

    def log_prob(self, value):
        batch = value.shape[: value.ndim - len(self._shape)]
        return self._distribution.log_prob(value.reshape(*batch, -1))

    def _sample_n(self, key, n):
        z = self._distribution._sample_n(key, n)
        return z.reshape(*z.shape[:-1], *self._shape)


class Resampled(distrax.Distribution):
    """Draws of a proposal, each accepted with a learned probability.

    `net` with its `variables` computes the logit of that probability. `rate` is the
    mean probability, and `truncation` the largest number of draws for a sample. See
    `nfml_jax.flows.resampled`.
    """

    def __init__(self, proposal, net, variables, rate: Array, truncation: int):
        self._proposal, self._net, self._variables = proposal, net, variables
        self._rate, self._truncation = rate, truncation

    def tree_flatten(self):
        leaves = self._proposal, self._variables, self._rate
        return leaves, (self._net, self._truncation)

    @classmethod
    def tree_unflatten(cls, static, leaves):
        new = object.__new__(cls)
        new._proposal, new._variables, new._rate = leaves
        new._net, new._truncation = static
        return new

    @property
    def event_shape(self):
        return self._proposal.event_shape

    @property
    def batch_shape(self):
        return ()

    def log_prob(self, value):
        log_last = (self._truncation - 1) * jnp.log1p(-self._rate)
        log_first = jnp.log(-jnp.expm1(log_last)) - jnp.log(self._rate)
        kept = log_first + jax.nn.log_sigmoid(self.logit(value))
        return self._proposal.log_prob(value) + jnp.logaddexp(kept, log_last)

    def logit(self, z: Array) -> Array:
        """Return the logit `[...]` of the probability to accept `[..., *event]`."""
        return acceptance_logit(self._net, self._variables, z, len(self.event_shape))

    def _sample_n(self, key, n):
        def draw(state):
            count, key, z, kept = state
            key, draw_key, keep_key = jax.random.split(key, 3)
            new = self._proposal.sample(seed=draw_key, sample_shape=(n,))
            z = jnp.where(kept.reshape(n, *(1,) * (z.ndim - 1)), z, new)
            keep = jax.random.bernoulli(keep_key, jax.nn.sigmoid(self.logit(z)))
            return count + 1, key, z, kept | keep

        def unfinished(state):
            return (state[0] < self._truncation) & ~state[3].all()

        z = jnp.zeros_like(self._proposal.sample(seed=key, sample_shape=(n,)))
        state = 0, key, z, jnp.zeros(n, bool)
        return jax.lax.stop_gradient(
            control_flow.while_loop(unfinished, draw, state)[2]
        )


def acceptance_logit(net, variables, z: Array, event_ndim: int) -> Array:
    """Return the logit `[...]` of accepting draws `z [..., *event]`.

    That of an image is the mean over its places.
    """
    logit = net.apply(variables, z, None, 1)[..., 0]
    return logit.mean(tuple(range(1 - event_ndim, 0))) if event_ndim > 1 else logit
