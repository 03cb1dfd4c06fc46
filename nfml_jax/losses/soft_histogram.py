"""Histograms with a gradient: a value is shared between its two nearest nodes."""

import jax
import jax.numpy as jnp

from nfml_jax.ops import loops


def soft_histogram(
    values: jax.Array,
    masks: tuple[jax.Array, ...],
    low: float,
    high: float,
    bins: int,
) -> jax.Array:
    """Counts [T, A, bins + 1] at even nodes from low to high of values [A, R].

    A value counts linearly for the nodes on both sides, in all 1; one beyond the ends
    counts there. Each of the T masks [A, R] says what counts for one histogram.
    Ustinova and Lempitsky 2016, eqs. 2 and 3. Memory is that of the values: nodes are
    taken one by one, in both directions.
    """
    place = jnp.clip((values - low) * (bins / (high - low)), 0.0, bins)

    @jax.checkpoint
    def count(node):
        share = jnp.maximum(1.0 - jnp.abs(place - node), 0.0)
        return jnp.stack([jnp.sum(jnp.where(m, share, 0.0), axis=-1) for m in masks])

    nodes = jnp.arange(bins + 1, dtype=place.dtype)
    _, counts = loops.scan(lambda _, node: ((), count(node)), (), nodes)
    return jnp.moveaxis(counts, 0, -1)
