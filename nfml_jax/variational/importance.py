"""Importance weights of an approximation, and the estimates that follow from them."""

from functools import partial

import jax
import jax.numpy as jnp
from jax import lax

from nfml_jax.variational.approximation import Approximation, LogDensity

Array = jax.Array


def log_weights(
    q: Approximation,
    log_density: LogDensity,
    variables,
    key: Array,
    n: int,
    *,
    chunk: int = 8192,
) -> Array:
    """Return log (p̃ / q) `[n]` at n draws of q, computed `chunk` draws at a time.

    >>> from nfml_jax import flows, variational
    >>> flow = flows.realnvp(event_dim=2, layers=1, hidden=(8,))
    >>> variables = flow.init(jax.random.key(0), jnp.zeros((1, 2)))
    >>> q, u1 = variational.approximation_of(flow), variational.ENERGIES["u1"]
    >>> log_weights(q, u1.log_density, variables, jax.random.key(1), 8).shape
    (8,)
    """
    chunk = min(chunk, n)
    keys = jax.random.split(key, -(-n // chunk))

    def one(key):
        x, log_q = q.sample_and_log_prob(variables, key, chunk)
        return log_density(x) - log_q

    return lax.map(one, keys).reshape(-1)[:n]


@partial(jax.jit, static_argnames="log_z")
def estimates(weights: Array, log_z: float | None = None) -> dict[str, Array]:
    """Return estimates in nats from log importance weights of draws of q.

    Args:
      weights: The log weights `[n]`.
      log_z: The true log Z, if it is known.

    Returns:
      A dictionary of scalars. `elbo` is the mean of the log weights, and `log_z` the
      logarithm of the mean weight; `elbo_error` and `log_z_error` are their standard
      errors. `ess` is the effective sample size (Σw)² / Σw² as a share of n. If the
      true log Z is known, `kl` is KL(q ‖ p), with `kl_error`.

    If `ess` is small or q misses a part of p, the estimate of log Z is too low, and its
    error doesn't show it. If a weight is zero, `elbo` is minus infinity, and its error
    infinity. If all weights are zero, so is `log_z`, and `ess` is 0.

    >>> found = estimates(jnp.log(jnp.array([1.0, 3.0])))
    >>> round(float(found["log_z"]), 3), round(float(found["ess"]), 3)
    (0.693, 0.8)
    """
    n, largest = weights.shape[0], weights.max()
    some = largest != -jnp.inf
    share = relative_weights(weights, largest)
    mean, square = share.mean(), (share**2).mean()
    elbo, elbo_error = weights.mean(), weights.std(ddof=1) / jnp.sqrt(n)
    elbo_error = jnp.where(jnp.isinf(elbo), jnp.inf, elbo_error)
    log_z_error = jnp.sqrt((square / mean**2 - 1) / (n - 1))
    found = {
        "elbo": elbo,
        "elbo_error": elbo_error,
        "log_z": jnp.log(mean) + largest,
        "log_z_error": jnp.where(some, log_z_error, jnp.inf),
        "ess": jnp.where(some, mean**2 / square, 0),
    }
    if log_z is not None:
        found |= {"kl": log_z - elbo, "kl_error": elbo_error}
    return found


def relative_weights(log_weights: Array, largest: Array) -> Array:
    """Return exp(`log_weights` - `largest`), and 0 if all weights are 0."""
    below = jnp.where(log_weights == largest, 0, log_weights - largest)
    return jnp.where(log_weights == -jnp.inf, 0, jnp.exp(below))
