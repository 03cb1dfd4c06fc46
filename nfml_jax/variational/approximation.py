"""A density q as pure functions of its variables, such as a flow that is fitted."""

from collections.abc import Callable
from functools import partial
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp

Array = jax.Array
# The logarithm of a density, of points `[n, D]`.
LogDensity = Callable[[Array], Array]


@flax.struct.dataclass
class Approximation:
    """A density q, given by pure functions of its variables.

    Attributes:
      sample_and_log_prob: A function `(variables, key, n)` that returns draws `[n, D]`,
        differentiable in the variables, and their log-densities `[n]`. `key` may be n
        keys, one for each draw. Then a draw doesn't depend on the others, as in a batch
        that devices share.
      log_prob: A function `(variables, x)` that returns log-densities `[n]` of points
        `[n, D]`.
      sample_with_score: None, or for draws that are not differentiable a function that
        also returns their score, such as that method of `Flow`.

    >>> def sample_and_log_prob(scale, key, n):
    ...     z = jax.random.normal(key, (n, 1))
    ...     return scale * z, log_prob(scale, scale * z)
    >>> def log_prob(scale, x):
    ...     return jax.scipy.stats.norm.logpdf(x, scale=scale).sum(-1)
    >>> q = Approximation(sample_and_log_prob, log_prob)
    >>> x, log_q = q.sample_and_log_prob(2.0, jax.random.key(0), 8)
    >>> x.shape, log_q.shape
    ((8, 1), (8,))
    """

    sample_and_log_prob: Callable[[Any, Array, int], tuple[Array, Array]] = (
        flax.struct.field(pytree_node=False)
    )
    log_prob: Callable[[Any, Array], Array] = flax.struct.field(pytree_node=False)
    sample_with_score: (
        Callable[[Any, Array, int], tuple[Array, Array, Array]] | None
    ) = flax.struct.field(pytree_node=False, default=None)


def approximation_of(flow, rngs=None, mutable=()) -> Approximation:
    """Return a `nfml_jax.flows.Flow` without context as an `Approximation`.

    With `rngs` and the names of `mutable` collections, the flow acts as in training;
    the new values of these collections are lost.

    >>> from nfml_jax import flows
    >>> q = approximation_of(flows.realnvp(event_dim=1, layers=1))
    >>> q.sample_with_score is None
    True
    """
    apply = flow.apply
    if mutable:

        def apply(*args, method):
            more = {"rngs": rngs, "mutable": mutable}
            return flow.apply(*args, method=method, **more)[0]

    def drawing(method):
        def draw(variables, key, n):
            if jnp.issubdtype(key.dtype, jax.dtypes.prng_key) and key.ndim:
                one = partial(apply, method=method)
                return jax.vmap(one, (None, 0))(variables, key)
            return apply(variables, key, (n,), method=method)

        return draw

    def log_prob(variables, x):
        return apply(variables, x, method="log_prob")

    return Approximation(
        drawing("sample_and_log_prob"),
        log_prob,
        None if flow.base.has_path else drawing("sample_with_score"),
    )
