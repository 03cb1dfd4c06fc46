"""A function of a batch's rows taken some rows at a time, in the memory of these."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from nfml_jax.ops import loops

PyTree = Any


def by_chunks(block: Callable, rows: tuple[PyTree, ...], chunk: int | None) -> PyTree:
    """`block(*rows)` of rows [B, ...], `chunk` of them after the other; None: at once.

    Its results are arrays [..., B], each entry by its own row. Going backwards a chunk
    is computed again, so that nothing of the others is held.
    """
    count = len(rows[0])
    if chunk is None or chunk >= count:
        return block(*rows)
    chunks = -(-count // chunk)

    def split(x):
        # Padding repeats the first row: what comes of it is cut off again.
        padded = jnp.concatenate([x, x[jnp.zeros(chunks * chunk - count, int)]])
        return padded.reshape(chunks, chunk, *x.shape[1:])

    def join(x):
        return jnp.moveaxis(x, 0, -2).reshape(*x.shape[1:-1], -1)[..., :count]

    def step(_, rows):
        return (), jax.checkpoint(block)(*rows)

    _, results = loops.scan(step, (), jax.tree.map(split, rows))
    return jax.tree.map(join, results)
