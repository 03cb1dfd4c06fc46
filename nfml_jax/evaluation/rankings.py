"""Deep rankings of a gallery: similarities on the device, sorted on the host.

For a few of many rows `neighbors.top_k` works on the device alone. Rankings here are as
deep as wanted, and XLA's sort on CPU takes twenty times as long as numpy's.
"""

import functools
import os
import sys
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from nfml_jax.evaluation.similarities import (
    SIMILARITIES,
    from_differences,
    have_cancelled,
)
from nfml_jax.evaluation.tiles import blocks, first_of_equal
from nfml_jax.ops.broadcasting import broadcasting

THREADS = min(8, os.cpu_count() or 1)
"""The number of rankings that are made at a time."""


def make_ranking(
    queries, gallery, depth: int, metric: str, itself: bool, chunk: int
) -> Callable[[int], np.ndarray]:
    """Return a function that ranks the gallery for some queries.

    Its argument is the number of a query. It returns the rankings `[chunk, depth]` of
    this query and those after it. A ranking lists gallery rows from the most similar
    one on; of equal ones the lowest comes first. It needs some 20 bytes for each of
    chunk × N similarities, and may be called from `THREADS` threads at once.

    Args:
      queries: `[Q, D]`, checked.
      gallery: `[N, D]`, checked.
      depth: the number of rows in a ranking.
      metric: a name in `similarities.SIMILARITIES`.
      itself: True if the gallery is the queries. Each is left out of its own ranking
        then, and depth is below N.
      chunk: the number of queries ranked at a time.
    """
    compared = SIMILARITIES[metric](queries, gallery)
    opposite, columns = -compared.queries, jnp.asarray(compared.gallery.T.copy())
    equal = first_of_equal(compared.gallery)

    def ranking(start: int) -> np.ndarray:
        # A column beyond the last leaves nothing out.
        own = (
            np.arange(start, start + chunk) if itself else np.full(chunk, len(gallery))
        )
        block = next(blocks(opposite[start : start + chunk], chunk))
        own = own.astype(np.int32)
        apart = _dissimilarities(block, columns, own, equal, compared.squared)
        apart = np.asarray(apart)
        return first(apart[: len(queries) - start], depth)

    return ranking


@functools.partial(jax.jit, static_argnames="squared")
@broadcasting
def _dissimilarities(opposite, columns, own, equal, squared):
    """Return minus the scores `[Q, N]`, and infinity in column `own` `[Q]`.

    `equal` `[N]` is the first column that equals each column, whose score it gets, or
    None.
    """
    # In full float32, though the default of some hardware is coarser.
    apart = jnp.matmul(opposite, columns, precision=lax.Precision.HIGHEST)
    if squared:
        near = have_cancelled(-apart, opposite[:, -2], -columns[-1])
        others = jnp.arange(columns.shape[1]) != own[:, None]
        # If a single row is near, it is the first, whatever its score.
        several = jnp.sum(near & others, axis=1, keepdims=True) > 1
        real = opposite[:, -1:] != 0  # rather than padding
        rows = lambda: (opposite[:, :-2] / -2, columns[:-2].T)  # noqa: E731
        apart = -from_differences(-apart, near & several & real, rows)
    if equal is not None:
        # Equal rows may differ by rounding in different columns.
        apart = apart[:, equal]
    return apart.at[jnp.arange(len(own)), own].set(jnp.inf, mode="drop")


def first(values: np.ndarray, depth: int) -> np.ndarray:
    """Return the columns `[Q, depth]` of the least values in each row.

    `values` `[Q, N]` are float32. The least comes first, and of equal ones the lower
    column.

    >>> first(np.float32([[3, 1, 2, 1]]), depth=2).tolist()
    [[1, 3]]
    """
    few = 6 * depth <= values.shape[1]
    keys = (
        _few_keys(values, depth) if few else _keys(values, np.arange(values.shape[1]))
    )
    keys.sort(axis=1)
    low = 0 if sys.byteorder == "little" else 1
    return keys[:, :depth].view(np.int32)[:, low::2]


def _keys(values, columns):
    """Return 64-bit integers that sort like `values`, and equal ones by column."""
    # The bits of positive floats sort like integers, those of negative ones in reverse.
    # Adding 0 turns −0 into 0.
    bits = (values + np.float32(0)).view(np.int32)
    bits ^= (bits >> 31) & 0x7FFFFFFF
    keys = np.empty(bits.shape, np.int64)
    halves = keys.view(np.int32).reshape(*bits.shape, 2)
    low, high = (0, 1) if sys.byteorder == "little" else (1, 0)
    halves[..., high], halves[..., low] = bits, columns
    return keys


def _few_keys(values, depth):
    """Return the keys of the least values in each row, of `depth` or a few more."""
    count, columns = values.shape
    # At least `depth` values are at most the depth-th smallest minimum of groups.
    # Groups of few values would cost more than they save.
    width = columns // max(3 * depth, min(1000, columns // 2))
    groups = columns // width
    least = values[:, : groups * width].reshape(count, width, groups).min(axis=1)
    bound = np.partition(least, depth - 1, axis=1)[:, depth - 1]
    # numpy finds flat indices in a tenth of the time.
    flat = np.flatnonzero(values <= bound[:, None])
    row, column = np.divmod(flat, columns)
    found = np.bincount(row, minlength=count)
    keys = np.full((count, found.max()), np.iinfo(np.int64).max)
    filled = np.arange(found.max()) < found[:, None]
    keys[filled] = _keys(values.ravel()[flat], column)
    return keys
