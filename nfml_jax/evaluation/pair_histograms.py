"""Histograms of the cosines of all pairs, in even or in fine bins.

Cosines that lie close together, such as those of embeddings with a large common part,
are equal in float32 and share one bin of [−1, 1]. For unit vectors, 1 − cosine is half
the squared distance, which keeps its digits. Fine bins are therefore ranges of float32
numbers 1 − cosine, which are narrower the nearer the cosine is to 1.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from nfml_jax.evaluation.accept_rates import Roc, roc_from_counts
from nfml_jax.evaluation.inputs import check_digits
from nfml_jax.evaluation.tiles import pair_tiles
from nfml_jax.ops.broadcasting import broadcasting
from nfml_jax.ops.distances import squared_distances, unit

ROUNDING = 4
"""The number of last bits that rounding may change, which a bin ignores."""


@dataclasses.dataclass(frozen=True)
class PairHistograms:
    """Counts `[bins]` of the cosines of genuine and of impostor pairs.

    `edges` `[bins + 1]` ascend, and a bin contains its lower edge. Without edges the
    bins have equal width over [−1, 1].

    >>> PairHistograms(genuine=np.array([0, 2]), impostor=np.array([1, 0])).roc().auc
    1.0
    """

    genuine: np.ndarray
    impostor: np.ndarray
    edges: np.ndarray | None = None

    def __post_init__(self):
        if self.edges is None:
            edges = np.linspace(-1, 1, len(self.genuine) + 1)
            object.__setattr__(self, "edges", edges)

    def roc(self) -> Roc:
        """Return the Roc at the bins' lower edges, with exact counts."""
        assert self.edges is not None  # `__post_init__` sets them
        return roc_from_counts(self.edges[:-1], self.genuine, self.impostor)


def share_tied(genuine: np.ndarray, impostor: np.ndarray) -> float:
    """Return the share of pairs of a genuine and an impostor pair in one bin.

    Both are counts `[bins]`.
    """
    most = float(genuine.sum()) * float(impostor.sum())
    return float(np.sum(genuine.astype(float) * impostor)) / max(most, 1.0)


@functools.partial(jax.jit, static_argnames="bins")
@broadcasting
def count_tile(rows, columns, bins):
    """Return the histogram `[2 bins]` of a tile: impostor pairs, then genuine pairs.

    Each row forms pairs with later columns. `rows` and `columns` are blocks that
    `pair_tiles` yields for unit embeddings and labels.
    """
    (a, a_labels, i), (b, b_labels, j) = rows, columns
    # In full float32, though the default of some hardware is coarser.
    cosines = jnp.matmul(a, b.T, precision=lax.Precision.HIGHEST)
    # Scaling by a power of two is exact, so bin ≥ n if and only if cosine ≥ edge n.
    bin_ = jnp.floor(cosines * (bins // 2)).astype(jnp.int32) + bins // 2
    bin_ = jnp.clip(bin_, 0, bins - 1)
    bin_ += bins * (a_labels[:, None] == b_labels[None]).astype(jnp.int32)
    counted = (i[:, None] >= 0) & (i[:, None] < j[None])
    # Pairs that don't count are out of range, and mode="drop" ignores them.
    bin_ = jnp.where(counted, bin_, 2 * bins)
    return jnp.zeros(2 * bins, jnp.int32).at[bin_].add(1, mode="drop")


def count_fine(
    embeddings, labels, bins: int, chunk: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return counts `[bins]` of genuine and of impostor pairs, and edges `[bins + 1]`.

    The edges are cosines in float64, ascending, and a bin contains its lower edge. The
    arguments are those of `verification.all_pairs`, already checked.
    """
    directions = unit(check_digits(embeddings).astype(np.float64))
    zero = ~directions.any(axis=1)
    around = directions - np.median(directions, axis=0)
    columns = np.asarray(around, np.float32), np.asarray(zero, np.float32), labels
    ends = [_extent(*two) for two in pair_tiles(*columns, size=chunk)]
    low = int(min(least for least, _ in ends))
    high = max(int(max(most for _, most in ends)), low)
    shift = ROUNDING
    while ((high + (1 << shift)) >> shift) - (low >> shift) >= bins:
        shift += 1
    first = low >> shift
    counts = np.zeros(2 * bins, np.int64)
    for two in pair_tiles(*columns, size=chunk):
        counts += np.asarray(_count(*two, first, shift, bins))
    # Half a bin is added before the division, so that round numbers lie inside bins.
    starts = ((first + np.arange(bins + 1, dtype=np.int64)) << shift) - (
        1 << shift
    ) // 2
    starts = np.clip(starts, 0, np.float32(4).view(np.int32)).astype(np.int32)
    edges = 1 - starts.view(np.float32)[::-1].astype(np.float64)
    # A bin ends with the last number before the next bin; edges[i] is its cosine.
    last = np.nextafter(starts.view(np.float32), np.float32(-1))[::-1]
    edges[:-1] = 1 - last[:-1].astype(np.float64)
    return counts[bins:][::-1], counts[:bins][::-1], edges


def _bits(rows, columns):
    """Return 1 − cosine `[A, B]` as bits, and a mask of the pairs to count.

    The bits of numbers that are not negative are ordered like the numbers.
    """
    (a, a_zero, _, i), (b, b_zero, _, j) = rows, columns
    # The cosine of a zero vector with any other is 0.
    apart = (squared_distances(a, b) + (a_zero[:, None] + b_zero[None])) / 2
    counted = (i[:, None] >= 0) & (i[:, None] < j[None])
    return lax.bitcast_convert_type(apart, jnp.int32), counted


@jax.jit
@broadcasting
def _extent(rows, columns):
    """Return the least and the largest bits of the pairs to count."""
    bits, counted = _bits(rows, columns)
    least = jnp.min(jnp.where(counted, bits, jnp.iinfo(jnp.int32).max))
    return least, jnp.max(jnp.where(counted, bits, 0))


@functools.partial(jax.jit, static_argnames="bins")
@broadcasting
def _count(rows, columns, first, shift, bins):
    """Return the histogram `[2 bins]` of bits: impostor pairs, then genuine pairs."""
    bits, counted = _bits(rows, columns)
    place = jnp.right_shift(bits + jnp.left_shift(1, shift) // 2, shift) - first
    place += bins * (rows[2][:, None] == columns[2][None]).astype(jnp.int32)
    place = jnp.where(counted, place, 2 * bins)
    return jnp.zeros(2 * bins, jnp.int32).at[place].add(1, mode="drop")
