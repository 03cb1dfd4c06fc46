"""A function of rows, applied in batches and in bounded memory."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

PyTree = Any


def in_batches(
    function: Callable[..., PyTree], size: int, *rows: np.ndarray, multiple: int = 1
) -> PyTree:
    """Return `function(*batch)` of all rows, as numpy arrays `[N, ...]`.

    Every batch has `size` rows, or the next power of two if there are fewer, rounded up
    to a multiple of `multiple`. So one shape is compiled, and the last batch is padded
    with zeros. Only the results take memory. No rows give results `[0, ...]`.

    Args:
      function: a function of batches `[size, ...]` that treats rows independently.
      size: the number of rows in a batch.
      rows: arrays `[N, ...]`.
      multiple: a number that divides the size of a batch, such as that of devices.

    >>> in_batches(lambda x: 2 * x, 4, np.arange(5))
    array([0, 2, 4, 6, 8])
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
    """Return rows `[N, ...]`, padded with zeros to `length`."""
    short = length - len(rows)
    return np.pad(rows, [(0, short)] + [(0, 0)] * (rows.ndim - 1)) if short else rows
