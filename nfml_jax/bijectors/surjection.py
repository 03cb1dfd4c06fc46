"""The surjection: a map from the base to the data that loses something.

Nielsen et al. 2020, "SurVAE Flows". What is lost has to be drawn to go back, so that
direction takes a random key, and its term is the likelihood's contribution to a bound.
"""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp

from nfml_jax.ops.values import Value

Array = jax.Array


class Surjection(Value):
    """A map of events that loses something, with the two methods of a bijector.

    Forward goes from the base to the data, as for bijectors, mostly without a key. The
    inverse draws what the map lost by `key`. With the density q of these draws,

        log p(x) ≥ E_q[log p(z) + log_det],  z, log_det = inverse_and_log_det(x),

    where p(z) is the density of events before the map. The mean of exp(log p(z) +
    log_det) is p(x) itself, so that the mean over several draws gives a tighter bound
    (Burda et al. 2016). Forward returns the same term with its sign changed.

    Attributes:
      event_ndim: The number of axes of an event; all leading axes are batch.

    >>> class Floor(Surjection):
    ...     def forward_and_log_det(self, z, context=None, key=None):
    ...         return jnp.floor(z), jnp.zeros(z.shape[:-3])
    ...
    ...     def inverse_and_log_det(self, x, context=None, key=None):
    ...         return x + jax.random.uniform(key, x.shape), jnp.zeros(x.shape[:-3])
    >>> x = jnp.ones((1, 2, 2, 3))
    >>> z, term = Floor().apply({}, x, key=jax.random.key(0))
    >>> bool((jnp.floor(z) == x).all()), term.tolist()
    (True, [0.0])
    """

    event_ndim: int = 3

    @property
    def exact(self) -> bool:
        """True if each draw's term is log p(x) - log p(z), False if it is a bound."""
        return False

    def forward_and_log_det(
        self, z: Array, context: Array | None = None, key: Array | None = None
    ) -> tuple[Array, Array]:
        """Return x `[*batch, *event]` for z, and the term `[*batch]`."""
        raise NotImplementedError

    def inverse_and_log_det(
        self, x: Array, context: Array | None = None, key: Array | None = None
    ) -> tuple[Array, Array]:
        """Return a draw z `[*batch, *event]` for x, and the term `[*batch]`."""
        raise NotImplementedError

    def forward(
        self, z: Array, context: Array | None = None, key: Array | None = None
    ) -> Array:
        """Return x `[*batch, *event]` for z; only some maps need a key."""
        return self.forward_and_log_det(z, context, key)[0]

    def inverse(
        self, x: Array, context: Array | None = None, key: Array | None = None
    ) -> Array:
        """Return a draw z `[*batch, *event]` for x."""
        return self.inverse_and_log_det(x, context, key)[0]

    @nn.nowrap
    def forward_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of x for an event z of this shape."""
        return shape

    @nn.nowrap
    def inverse_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of z for an event x of this shape."""
        return shape

    @nn.nowrap
    def inverse_context(self, context: Array) -> Array:
        """Return the feature map for z that the feature map of x becomes."""
        return context

    def middle(self, x: Array) -> Array:
        """Return a z `[*batch, *event]` of x without a draw, far from other x's.

        Rounding on the way to latents and back then gives x again. Raises
        NotImplementedError for a map that has no such z.
        """
        raise NotImplementedError

    def __call__(self, x: Array, context: Array | None = None, key=None):
        return self.inverse_and_log_det(x, context, key)


def event_sum(values: Array, event_ndim: int) -> Array:
    """Return the sum `[*batch]` over the axes of an event."""
    return values.sum(tuple(range(-event_ndim, 0)))


def event_size(x: Array, event_ndim: int) -> int:
    """Return the count of numbers in an event."""
    size = 1
    for length in x.shape[x.ndim - event_ndim :]:
        size *= length
    return size


def all_of_event(flags: Array, event_ndim: int) -> Array:
    """Return booleans `[*batch]`: whether all of an event's flags are set."""
    return jnp.all(flags, axis=tuple(range(-event_ndim, 0)))


def draws(key: Array, shape, sampler: Callable) -> Array:
    """Return `sampler(key, shape)`; of keys `[*batch]`, each draws for one event."""
    if not jnp.issubdtype(key.dtype, jax.dtypes.prng_key):
        key = jax.random.wrap_key_data(key)
    own = shape[key.ndim :]

    def of_one(key):
        return sampler(key, own)

    for _ in range(key.ndim):
        of_one = jax.vmap(of_one)
    return of_one(key)
