"""Probabilities of integer levels by the density of a flow of dequantized numbers."""

import math
from typing import Any, ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp

from nfml_jax.bijectors.surjection import Surjection
from nfml_jax.errors import UserError
from nfml_jax.flows.compiled import Compiled, compiled
from nfml_jax.flows.log_dets import LogDetPart
from nfml_jax.ops import control_flow
from nfml_jax.ops.broadcasting import broadcasting
from nfml_jax.ops.checks import check_flag, check_integer, check_kind

Array = jax.Array


# The methods whose key also draws the estimates of log-determinants.
KEYED = (
    None,
    "__call__",
    "log_prob",
    "terms",
    "log_det_parts",
    "latent_log_probs",
)

# Those whose results don't depend on log-determinants. A continuous flow computes them
# all the same, and an exact one costs a pass for each number of an image.
WITHOUT_LOG_DET = ("encode", "decode", "sample")


class Quantized(Compiled):
    """A flow of numbers, and the surjections that make levels of them.

    Its values are bounds: log P(x) is at least the mean of `log_prob` over keys, and
    the more `samples` there are, the closer it is.

    Attributes:
      flow: A density with the methods `log_prob` and `sample` of `nfml_jax.flows.Flow`.
      surjections: One, such as `nfml_jax.bijectors.Dequantize`, or several in the order
        from the flow to the data: to cut off a border that the flow has more, and then
        to quantize.
      estimate: Whether the flow's log-determinants are estimated, as those of residual
        and continuous flows of images have to be, and whether a resampled base learns.
        The `key` of `log_prob` and `terms` draws for these, too, in calls of `apply`
        without `rngs`. Each value is then an unbiased estimate of a bound. `sample`,
        `encode` and `decode` do not need log-determinants, and estimate them too.

    >>> from nfml_jax import flows
    >>> from nfml_jax.bijectors import Dequantize
    >>> model = Quantized(flows.independent(2), Dequantize(levels=4, event_ndim=1))
    >>> x, key = jnp.array([[0, 3]]), jax.random.key(0)
    >>> variables = model.init(key, x, key)
    >>> model.apply(variables, x, key, samples=8).shape
    (1,)
    >>> model.apply(variables, key, (5,), method="sample").shape
    (5, 2)
    """

    static: ClassVar = ("shape", "samples")

    flow: nn.Module
    surjections: Surjection | tuple[Surjection, ...]
    estimate: bool = False

    @nn.nowrap
    def apply(self, variables, *args, rngs=None, method=None, **options):
        """Call `method`, as `flax.linen.Module.apply` does."""
        if self.estimate and rngs is None:
            if method in KEYED:
                key = options.get("key", args[1] if len(args) > 1 else None)
                rngs = {} if key is None else _keys_of_layers(key)
            elif method in WITHOUT_LOG_DET:
                rngs = {"log_det": jax.random.key(0)}
        return super().apply(variables, *args, rngs=rngs, method=method, **options)

    def check_options(self):
        check_flag(self, estimate=self.estimate)
        check_kind(self, nn.Module, flow=self.flow)
        for surjection in self.maps:
            check_kind(self, Surjection, surjections=surjection)

    @property
    def maps(self) -> tuple[Surjection, ...]:
        """The surjections in the order from the flow to the data."""
        given = self.surjections
        return given if isinstance(given, tuple) else (given,)

    @property
    def exact(self) -> bool:
        """True if values are log P(x) itself, False if they are bounds of it."""
        return all(surjection.exact for surjection in self.maps)

    @property
    def event_shape(self) -> tuple[int, ...]:
        """The shape of an event of the data."""
        shape = self.flow.shape
        for surjection in self.maps:
            shape = surjection.forward_shape(shape)
        return shape

    @property
    def base_shape(self) -> tuple[int, ...]:
        """The shape of the latents of an event."""
        return self.flow.base_shape

    @property
    def padded(self) -> int:
        """The count of numbers that the flow's events have beside those of the data.

        They don't count as dimensions; see `nfml_jax.evaluation.bits_per_dim.Ledger`.
        """
        return max(math.prod(self.flow.shape) - math.prod(self.event_shape), 0)

    @property
    def estimates(self) -> bool:
        """True if log-determinants are estimated where a "log_det" key is given."""
        return self.flow.estimates

    @compiled
    @broadcasting
    def terms(
        self, x: Array, key: Array, context: Array | None = None
    ) -> dict[str, Array]:
        """Return the terms of one draw in nats, `[*batch]` by name; for a ledger.

        They are the flow's "density", and that of each surjection by its class's name.
        """
        numbers, terms = self._drawn(x, key, context)
        return {"density": self.flow.log_prob(numbers, self._inside(context))} | terms

    @compiled
    @broadcasting
    def log_det_parts(
        self, x: Array, key: Array, context: Array | None = None
    ) -> list[LogDetPart]:
        """Return the log-determinants of the flow's parts; see `Flow.log_det_parts`."""
        numbers, _ = self._drawn(x, key, context)
        return self.flow.log_det_parts(numbers, self._inside(context))

    @compiled
    @broadcasting
    def latent_log_probs(
        self, x: Array, key: Array, context: Array | None = None
    ) -> Array:
        """Return the base's log-density of each latent, `[*batch, *base_shape]`.

        They add up to that of all, for one draw of noise. Of a base without densities
        of single latents, each has an equal share.
        """
        numbers, inside = self._drawn(x, key, context)[0], self._inside(context)
        z, _ = self.flow.to_base(numbers, inside)
        base = self.flow.base(context)
        single = getattr(base, "distribution", None)
        found = base.log_prob(z) if single is None else single.log_prob(z)
        if found.shape == z.shape:
            return found
        shape = z.shape[found.ndim :]
        share = found.reshape(*found.shape, *(1,) * len(shape)) / math.prod(shape)
        return jnp.broadcast_to(share, z.shape)

    def _drawn(self, x, key, context):
        """Return a draw of the flow's events for levels x, and the terms of it."""
        terms = {}
        for number, surjection in reversed([*enumerate(self.maps)]):
            own = _fold_in(key, number)
            x, term = surjection.inverse_and_log_det(x, context, own)
            name = type(surjection).__name__.lower()
            terms[name] = terms.get(name, 0.0) + term
        return x, terms

    def _inside(self, context):
        """Return the flow's context: a feature map follows what the image becomes."""
        shape = self.event_shape
        if context is None or len(shape) == 1:
            return context
        if jnp.shape(context)[-len(shape) : -1] == shape[:-1]:
            for surjection in reversed(self.maps):
                context = surjection.inverse_context(context)
        return context

    @compiled
    @broadcasting
    def log_prob(
        self, x: Array, key: Array, context: Array | None = None, samples: int = 1
    ) -> Array:
        """Return the bound of log P(x | context) by `samples` draws, `[*batch]`.

        It is log (1/M) Σ exp(w) over M draws of the terms' sums w (Burda et al. 2016).
        Draws are made one after another, so memory doesn't grow with their number.
        """
        check_integer(self, 1, samples=samples)
        if samples > 1 and self.estimate:
            raise UserError(
                f"samples={samples} of a flow whose log-determinants are estimated are "
                "no bound, since the estimates' errors count as well; take samples=1."
            )
        if samples == 1 or self.is_initializing():
            return _total(self.terms(x, key, context))
        module, variables = self.unbind()

        def step(total, key):
            terms: Any = nn.Module.apply(
                module, variables, x, key, context, method="terms"
            )
            return jnp.logaddexp(total, _total(terms)), None

        first, *_ = jax.tree.leaves(jax.eval_shape(lambda k: step(0.0, k)[0], key))
        start = jnp.full(first.shape, -jnp.inf, first.dtype)
        total, _ = control_flow.scan(step, start, jax.random.split(key, samples))
        return total - jnp.log(samples)

    __call__ = log_prob

    @compiled
    @broadcasting
    def encode(self, x: Array, context: Array | None = None) -> Array:
        """Return latents `[*batch, *event]` of levels x, which `decode` gives back.

        No noise is drawn: they are those of the middle of each level.
        """
        for surjection in reversed(self.maps):
            x = surjection.middle(x)
        return self.flow.bijector.inverse(x, self._inside(context))

    @compiled
    @broadcasting
    def decode(self, z: Array, context: Array | None = None) -> Array:
        """Return the levels `[*batch, *event]` of latents z, as floats."""
        x = self.flow.bijector.forward(z, self._inside(context))
        for number, surjection in enumerate(self.maps):
            # What a surjection draws on this way is not part of the levels.
            x = surjection.forward(x, context, jax.random.key(number))
        return x

    @broadcasting
    def sample_latents(self, key: Array, context: Array | None = None) -> Array:
        """Return a draw of the base `[*batch, *event]`, with the context's batch."""
        base = self.flow.base(self._inside(context))
        batch = () if context is None else jnp.shape(context)[:-1]
        missing = batch[: len(batch) - len(base.batch_shape)]
        return base.sample(seed=key, sample_shape=missing)

    @compiled
    @broadcasting
    def sample(
        self, key: Array, shape: tuple[int, ...] = (), context: Array | None = None
    ) -> Array:
        """Return draws `[*shape, *batch, *event]`: floats whose values are levels.

        A draw that is not finite stays NaN.
        """
        x = self.flow.sample(key, shape, self._inside(context))
        for number, surjection in enumerate(self.maps):
            x = surjection.forward(x, context, jax.random.fold_in(key, number))
        return x


def _keys_of_layers(key: Array) -> dict[str, Array]:
    """Return the random keys of layers and of the base, from that of the noise."""
    if not jnp.issubdtype(key.dtype, jax.dtypes.prng_key):
        key = jax.random.wrap_key_data(key)
    log_det, base = jax.random.split(jax.random.fold_in(key.reshape(-1)[0], 1))
    return {"log_det": log_det, "base": base}


def _total(terms: dict[str, Array]) -> Array:
    return sum(terms.values(), jnp.zeros(()))


def _fold_in(key: Array, number: int) -> Array:
    """Return the key of a surjection, or of several keys those; the first has `key`."""
    if not number:
        return key
    fold_in = jax.random.fold_in
    for _ in range(key.ndim):
        fold_in = jax.vmap(fold_in, (0, None))
    return fold_in(key, number)
