"""Deep rankings of a gallery: similarities from the device, put in order on the host.

For the few best of many rows `neighbours.top_k` does it all on the device. Here the
order goes on as far as wanted; XLA's sort on CPU takes twenty times as long as numpy's.
"""

import os
import sys
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from nfml_jax.evaluation.arrays import blocks
from nfml_jax.evaluation.neighbours import METRICS

THREADS = min(8, os.cpu_count() or 1)
"""How many rankings are worth making at a time."""

LAST = np.iinfo(np.int32).max  # above the order of any finite similarity


def make_ranking(
    queries, gallery, depth: int, metric: str, itself: bool, chunk: int
) -> Callable[[int], np.ndarray]:
    """A function of a query's number: the rankings of it and of `chunk` - 1 after it.

    queries [Q, D], gallery [N, D]. A ranking [depth] holds the gallery's rows from the
    most similar one on, of equal ones the lowest first; where the gallery is the
    queries `itself`, each is left out of its own, and depth is below N. Its memory is
    some 20 bytes for each of chunk × N similarities. It may be called from `THREADS`
    threads at once.
    """
    queries, gallery = METRICS[metric](queries, gallery)
    gallery = jnp.asarray(gallery)

    def ranking(start: int) -> np.ndarray:
        own = np.arange(start, start + chunk) if itself else np.full(chunk, -1)
        block = next(blocks(queries[start : start + chunk], chunk))
        order = np.asarray(_descending(block, gallery, own.astype(np.int32)))
        return first(order[: len(queries) - start], depth)

    return ranking


@jax.jit
def _descending(queries, gallery, own):
    """Integers [Q, N] that rise as similarities fall; `LAST` in column `own` [Q]."""
    # The full float32 product also where the hardware's default is coarser.
    scores = jnp.matmul(queries, gallery.T, precision=lax.Precision.HIGHEST)
    # The bits of a float order like those of an integer, negative ones the other way
    # round. Adding 0 makes −0 equal to 0.
    bits = lax.bitcast_convert_type(-scores + 0.0, jnp.int32)
    order = jnp.where(bits < 0, bits ^ 0x7FFFFFFF, bits)
    return jnp.where(jnp.arange(len(gallery)) == own[:, None], LAST, order)


def first(order: np.ndarray, depth: int) -> np.ndarray:
    """The columns [Q, depth] of the least int32 entries of each row of `order` [Q, N].

    Least first, equal ones by column.
    """
    keys = _few_keys(order, depth) if 6 * depth <= order.shape[1] else _all_keys(order)
    keys.sort(axis=1)
    low = 0 if sys.byteorder == "little" else 1
    return keys[:, :depth].view(np.int32)[:, low::2]


def _all_keys(order):
    """One number of 64 bits for each entry: itself, and below it the column."""
    keys = np.empty(order.shape, np.int64)
    halves = keys.view(np.int32).reshape(*order.shape, 2)
    low, high = (0, 1) if sys.byteorder == "little" else (1, 0)
    halves[..., high], halves[..., low] = order, np.arange(order.shape[1])
    return keys


def _few_keys(order, depth):
    """The keys of the least entries of each row, `depth` or somewhat more of them."""
    count, columns = order.shape
    # At least `depth` entries are no larger than the depth-th least of groups' least.
    width = columns // (3 * depth)
    groups = columns // width
    least = order[:, : groups * width].reshape(count, width, groups).min(axis=1)
    bound = np.partition(least, depth - 1, axis=1)[:, depth - 1]
    # Flat indices: numpy finds them in a tenth of the time.
    flat = np.flatnonzero(order <= bound[:, None])
    row, column = np.divmod(flat, columns)
    found = np.bincount(row, minlength=count)
    keys = np.full((count, found.max()), np.iinfo(np.int64).max)
    some = order.ravel()[flat].astype(np.int64)
    keys[np.arange(found.max()) < found[:, None]] = some << 32 | column
    return keys
