"""Any number of rows through a function, a batch at a time, in bounded memory."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

PyTree = Any


def in_batches(
    function: Callable[..., PyTree], size: int, *rows: np.ndarray, multiple: int = 1
) -> PyTree:
    """`function(*batch)` of all `rows [N, ...]`, as numpy arrays `[N, ...]`.

    Every batch has `size` rows, or if there are fewer, the next power of two, and in
    any case a `multiple` of so many: one shape is compiled, the last batch is padded
    with zeros. `function` must treat rows independently. Its results are written where
    they belong, so memory grows by them alone. No rows give none, of the right shape.
    """
    count = len(rows[0])
    size = min(size, 2 ** max(count - 1, 0).bit_length())
    size = -(-size // multiple) * multiple
    whole = None
    for start in range(0, max(count, 1), size):
        part = function(*(_padded(r[start : start + size], size) for r in rows))
        part = jax.tree.map(np.asarray, part)
        if whole is None:
            whole = jax.tree.map(
                lambda p: np.empty((count, *p.shape[1:]), p.dtype), part
            )
        for all_of_it, piece in zip(*map(jax.tree.leaves, (whole, part)), strict=True):
            here = all_of_it[start : start + size]
            here[...] = piece[: len(here)]
    return whole


def _padded(rows, length):
    short = length - len(rows)
    return np.pad(rows, [(0, short)] + [(0, 0)] * (rows.ndim - 1)) if short else rows
