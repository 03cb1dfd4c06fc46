"""Reductions over the part of a row that a mask leaves, finite where it leaves none."""

import jax
import jax.numpy as jnp


def masked_mean(values: jax.Array, mask: jax.Array) -> jax.Array:
    """Means [A] of values [A, R] where mask [A, R] is true; 0 where it nowhere is."""
    count = jnp.sum(mask, axis=-1)
    return jnp.sum(jnp.where(mask, values, 0.0), axis=-1) / jnp.maximum(count, 1)


def masked_logsumexp(values: jax.Array, mask: jax.Array, zeros: int = 0) -> jax.Array:
    """log(zeros + Σ exp(values)) [A] of values [A, R] where mask [A, R] is true.

    With `zeros` 0 and nothing in the mask it is lower than anything, yet finite.
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
