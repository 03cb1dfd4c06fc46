"""Nearest neighbours: exact top-k search in tiles, and the kNN accuracy made of it."""

import dataclasses
import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from nfml_jax.errors import UserError
from nfml_jax.evaluation.arrays import (
    TILE,
    blocks,
    check_digits,
    check_labels,
    check_same_dimensions,
    count_rows,
    first_of_equal,
    unit,
    without_common_part,
)
from nfml_jax.ops.broadcasting import broadcasting
from nfml_jax.ops.checks import check_integer
from nfml_jax.ops.distances import CANCELLED, pair_lengths


@dataclasses.dataclass(frozen=True)
class Compared:
    """Rows whose inner products are scores, which rank as their similarities do.

    `queries` [Q, E] and `gallery` [N, E] in float32. Where `squared`, scores are minus
    squared distances, and a row of either is (2 q, −‖q‖², 1) or (g, 1, −‖g‖²). The
    similarity is `offset` + `unit` · score.
    """

    queries: np.ndarray
    gallery: np.ndarray
    squared: bool = False
    offset: float = 0.0
    unit: float = 1.0

    def similarity(self, scores: np.ndarray) -> np.ndarray:
        """Return similarities of scores, in float64 where the unit isn't 1."""
        if self.unit == 1:
            return scores
        return self.offset + self.unit * scores.astype(np.float64)


CLOSE = 1e-3
"""The mean of 1 − cosine below which float32 loses the order of cosines."""


def are_close(directions: np.ndarray) -> bool:
    """Return whether the cosines of unit vectors [N, D] are mostly too near to 1."""
    directions = directions[directions.any(axis=1)]
    mean = directions.mean(axis=0, dtype=np.float64) if len(directions) else 0.0
    return bool(1 - np.sum(mean * mean) < CLOSE)


def _cosine(queries, gallery) -> Compared:
    q, g = (unit(x.astype(np.float32)) for x in (queries, gallery))
    if not are_close(g):
        return Compared(q, g)
    # ‖q − g‖² / 2 = 1 − cos, but 1/2 where one vector is zero and the cosine 0.
    q, g = (unit(x.astype(np.float64)) for x in (queries, gallery))
    if not (q.any(axis=1).all() and g.any(axis=1).all()):
        return Compared(q.astype(np.float32), g.astype(np.float32))
    found = _squared(q - np.median(g, axis=0), g - np.median(g, axis=0))
    return dataclasses.replace(found, offset=1.0, unit=found.unit / 2)


def _euclidean(queries, gallery) -> Compared:
    queries, gallery = without_common_part(queries, gallery)
    q, g = queries.astype(np.float32), gallery.astype(np.float32)
    with np.errstate(over="ignore"):
        mean = g.mean(axis=0)
    if not np.isfinite(mean).all():
        mean = g.mean(axis=0, dtype=np.float64).astype(np.float32)
    return _squared(q - mean, g - mean)


def _squared(q, g) -> Compared:
    """Return rows whose products are −‖q − g‖² = 2 q·g − ‖q‖² − ‖g‖²."""
    scale = 1.0
    size = max(np.abs(q).max(), np.abs(g).max())
    if size > 0 and not 1e-9 < size < 1e9:
        # Squares would overflow or vanish; a power of two divides without rounding.
        scale = float(2.0 ** np.floor(np.log2(size)))
        q, g = q / scale, g / scale
    q, g = q.astype(np.float32), g.astype(np.float32)
    squares = [np.sum(x * x, axis=1, keepdims=True) for x in (q, g)]
    one = [np.ones_like(square) for square in squares]
    return Compared(
        np.hstack([2 * q, -squares[0], one[0]]),
        np.hstack([g, one[1], -squares[1]]),
        squared=True,
        unit=scale**2,
    )


METRICS = {"cosine": _cosine, "euclidean": _euclidean}
"""Name -> function of queries and gallery, checked, that returns them `Compared`."""


def have_cancelled(scores, query_squares, gallery_squares):
    """Return which scores [Q, N], minus squared distances, are mostly rounding.

    They are small beside the squares ‖q‖² [Q] and ‖g‖² [N] that they are made of.
    """
    unit = float(jnp.finfo(scores.dtype).eps)
    total = query_squares[:, None] + gallery_squares[None]
    return -scores <= CANCELLED * unit * total


def from_differences(scores, wanted, rows: Callable):
    """Return scores [Q, N], those `wanted` made anew of the differences of rows.

    `rows` gives queries [Q, D] and gallery [N, D]; it is used if any are wanted.
    """
    apart = lax.cond(
        jnp.any(wanted), lambda: pair_lengths(*rows()), lambda: jnp.zeros_like(scores)
    )
    return jnp.where(wanted, -apart * apart, scores)


VOTES = 2**24
"""Pairs of neighbours whose labels are compared at a time."""


@functools.partial(jax.jit, static_argnames=("k", "squared"))
@broadcasting
def _merge(best, queries, gallery, ids, k, squared=False):
    """The k best of `best` (scores and ids [Q, k]) and a block of the gallery.

    `ids` [G] number the block's rows, −1 for padding. Of equal scores the one seen
    first wins, so the lowest id.
    """
    # The full float32 product also where the hardware's default is coarser.
    scores = jnp.matmul(queries, gallery.T, precision=lax.Precision.HIGHEST)
    if squared:
        near = have_cancelled(scores, -queries[:, -2], -gallery[:, -1])
        real = (ids >= 0) & (queries[:, -1:] != 0)  # not of padding
        scores = from_differences(
            scores, near & real, lambda: (queries[:, :-2] / 2, gallery[:, :-2])
        )
    scores = jnp.where(ids >= 0, scores, -jnp.inf)
    scores, place = lax.top_k(scores, min(k, len(ids)))
    scores = jnp.concatenate([best[0], scores], axis=1)
    ids = jnp.concatenate([best[1], ids[place]], axis=1)
    scores, place = lax.top_k(scores, k)
    return scores, jnp.take_along_axis(ids, place, axis=1)


def top_k(
    queries, gallery, k: int, metric: str = "cosine", chunk: int = TILE
) -> tuple[np.ndarray, np.ndarray]:
    """Return the k nearest gallery rows of each query: similarities and indices [Q, k].

    queries [Q, D], gallery [N, D]; best first, of equal ones the lowest index. Equal
    rows are equally similar. The similarity is the cosine, or minus the squared
    distance for "euclidean", from differences where products would cancel. Holds
    chunk² scores at a time.

    Raises:
      UserError: for an unknown metric, k outside 1 … N, or embeddings that are empty,
        not finite, or of different dimensions.
    """
    if metric not in METRICS:
        raise UserError(f"metric is {metric!r}; expected one of {', '.join(METRICS)}.")
    queries, gallery = check_digits(queries, "queries"), check_digits(gallery)
    check_same_dimensions(queries, gallery, "Queries and gallery")
    check_integer(None, 0, k=k)
    if not 1 <= k <= len(gallery):
        raise UserError(f"k is {k}; expected 1 to the {len(gallery)} rows searched.")
    compared = METRICS[metric](queries, gallery)
    first = first_of_equal(compared.gallery)
    if first is None:
        found = _search(compared, k, chunk)
    else:
        some = np.flatnonzero(first == np.arange(len(first)))
        single = dataclasses.replace(compared, gallery=compared.gallery[some])
        scores, indices = _search(single, min(k, len(some)), chunk)
        parts = [
            _with_equal_rows(
                scores[i : i + chunk], some[indices[i : i + chunk]], first, k
            )
            for i in range(0, len(scores), chunk)
        ]
        found = tuple(map(np.concatenate, zip(*parts, strict=True)))
    return compared.similarity(found[0]), found[1]


def _search(compared: Compared, k: int, chunk: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the k best scores of each query, and their indices [Q, k]."""
    queries, gallery = compared.queries, compared.gallery
    # Wide tiles: fewer merges of k for each query.
    rows = min(max(chunk // 8, 1), len(queries))
    columns = min(8 * chunk, len(gallery))
    ids = np.arange(1, len(gallery) + 1, dtype=np.int32)
    tiles = [
        (jnp.asarray(block), jnp.asarray(block_ids - 1))
        for block, block_ids in zip(
            blocks(gallery, columns), blocks(ids, columns), strict=True
        )
    ]
    found = []
    for block in blocks(queries, rows):
        best = (
            jnp.full((rows, k), -jnp.inf, jnp.float32),
            jnp.full((rows, k), -1, jnp.int32),
        )
        for tile, tile_ids in tiles:
            best = _merge(best, block, tile, tile_ids, k, compared.squared)
        found.append(jax.device_get(best))
    scores, indices = (
        np.concatenate(x)[: len(queries)] for x in zip(*found, strict=True)
    )
    return scores, indices


def _with_equal_rows(scores, indices, first, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the k best of rows found [Q, K] and of those that equal them.

    `first` [N] is the first row equal to each; only first rows have been searched.
    """
    members = np.argsort(first, kind="stable")
    sizes = np.bincount(first, minlength=len(first))
    starts = np.cumsum(sizes) - sizes
    counts = np.minimum(sizes[indices], k).ravel()
    ends = np.cumsum(counts)
    step = np.arange(ends[-1]) - np.repeat(ends - counts, counts)
    every = members[np.repeat(starts[indices.ravel()], counts) + step]
    scores = np.repeat(scores.ravel(), counts)
    query = np.repeat(np.arange(indices.size) // indices.shape[1], counts)
    order = np.lexsort((every, -scores, query))
    per_query = np.bincount(query, minlength=len(indices))
    places = order[(np.cumsum(per_query) - per_query)[:, None] + np.arange(k)]
    return scores[places], every[places].astype(np.int32)


def vote(labels: np.ndarray) -> np.ndarray:
    """The most frequent label [Q] of each row of neighbours' `labels` [Q, k].

    Neighbours come nearest first; of equally frequent labels, the nearest one's wins.
    """
    votes = np.sum(labels[:, :, None] == labels[:, None, :], axis=-1)
    return np.take_along_axis(labels, votes.argmax(axis=1)[:, None], axis=1)[:, 0]


def knn_accuracy(
    train_embeddings,
    train_labels,
    test_embeddings,
    test_labels,
    k: int = 5,
    metric: str = "cosine",
    chunk: int = TILE,
) -> float:
    """The share of test examples whose k nearest training examples elect their label.

    Embeddings [N, D] and labels [N]; majority of `vote`, errors of `top_k`.
    """
    train_labels = check_labels(train_labels, count_rows(train_embeddings, "rows"))
    test_labels = check_labels(test_labels, count_rows(test_embeddings, "rows"))
    _, nearest = top_k(test_embeddings, train_embeddings, k, metric, chunk)
    rows = max(1, min(chunk, VOTES // k**2))
    elected = [vote(train_labels[block]) for block in blocks(nearest, rows)]
    return float(np.mean(np.concatenate(elected)[: len(test_labels)] == test_labels))
