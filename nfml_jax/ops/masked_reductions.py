"""Reductions over the part of each row that a mask selects, finite if it is empty."""

import jax
import jax.numpy as jnp


def masked_mean(values: jax.Array, mask: jax.Array) -> jax.Array:
    """Return the means `[A]` of values `[A, R]` under a mask `[A, R]`.

    The mean under an empty mask is 0.

    >>> values = jnp.array([[1.0, 3.0, 9.0], [1.0, 1.0, 1.0]])
    >>> masked_mean(values, values < 1.0 + jnp.array([[4.0], [-1.0]])).tolist()
    [2.0, 0.0]
    """
    count = jnp.sum(mask, axis=-1)
    return jnp.sum(jnp.where(mask, values, 0.0), axis=-1) / jnp.maximum(count, 1)


def masked_logsumexp(values: jax.Array, mask: jax.Array, zeros: int = 0) -> jax.Array:
    """Return log(zeros + Σ exp(values)) `[A]` of values `[A, R]` under a mask `[A, R]`.

    If `zeros` is 0 and the mask is empty, it is lower than any other value, yet finite.

    >>> values = jnp.zeros((1, 4))
    >>> round(float(masked_logsumexp(values, values == 0)[0]), 3)  # log 4
    1.386
    """
    lowest = jnp.finfo(values.dtype).min / 4
    highest = jnp.max(jnp.where(mask, values, lowest), axis=-1)
    highest = jax.lax.stop_gradient(jnp.maximum(highest, 0.0) if zeros else highest)
    shift = jnp.where(highest > lowest, highest, 0.0)
    shifted = jnp.where(mask, values - shift[..., None], 0.0)
    summed = jnp.sum(jnp.where(mask, jnp.exp(shifted), 0.0), axis=-1)
    summed = summed + zeros * jnp.exp(-shift)
    some = summed > 0.0
    return jnp.where(some, jnp.log(jnp.where(some, summed, 1.0)) + shift, lowest)
