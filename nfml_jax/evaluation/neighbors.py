"""Exact search for the nearest neighbors in tiles, and accuracy by their vote."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from nfml_jax.errors import UserError
from nfml_jax.evaluation.inputs import check_digits, check_same_dimensions, count_rows
from nfml_jax.evaluation.similarities import (
    SIMILARITIES,
    Compared,
    check_metric,
    from_differences,
    have_cancelled,
)
from nfml_jax.evaluation.tiles import TILE, blocks, first_of_equal
from nfml_jax.ops.broadcasting import broadcasting
from nfml_jax.ops.checks import check_integer
from nfml_jax.ops.labels import check_labels

VOTES = 2**24
"""The number of pairs of neighbors whose labels are compared at a time."""


def top_k(
    queries, gallery, k: int, metric: str = "cosine", chunk: int = TILE
) -> tuple[np.ndarray, np.ndarray]:
    """Return the k most similar gallery rows of each query.

    The most similar row comes first, and of equally similar rows the one of lower
    index. Equal rows are equally similar. Similarities are computed from differences
    where inner products would cancel. `chunk`² scores are held at a time.

    Args:
      queries: `[Q, D]`.
      gallery: `[N, D]`.
      k: the number of rows to return for each query.
      metric: "cosine", or "euclidean" for minus the squared distance.
      chunk: the number of rows and columns of a tile.

    Returns:
      The similarities `[Q, k]` and the indices `[Q, k]` of gallery rows.

    Raises:
      UserError: for an unknown metric, k outside 1 … N, or embeddings that are empty,
        not finite, or of different dimensions.

    >>> gallery = np.array([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0], [-0.6, 0.8]])
    >>> similarity, index = top_k(gallery[:2], gallery, k=2)
    >>> index
    array([[0, 1],
           [1, 0]], dtype=int32)
    >>> similarity.round(3)
    array([[1. , 0.8],
           [1. , 0.8]], dtype=float32)
    """
    check_metric(metric)
    queries, gallery = check_digits(queries, "queries"), check_digits(gallery)
    check_same_dimensions(queries, gallery, "Queries and gallery")
    check_integer(None, 0, k=k)
    if not 1 <= k <= len(gallery):
        raise UserError(f"k is {k}; expected 1 to {len(gallery)}, the rows searched.")
    compared = SIMILARITIES[metric](queries, gallery)
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
    """Return the k best scores `[Q, k]` of each query, and their indices `[Q, k]`."""
    queries, gallery = compared.queries, compared.gallery
    # Wide tiles need fewer merges of k rows for each query.
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


@functools.partial(jax.jit, static_argnames=("k", "squared"))
@broadcasting
def _merge(best, queries, gallery, ids, k, squared=False):
    """Return the k best of `best` and a block of the gallery.

    `best` holds the scores and indices `[Q, k]` found so far. `ids` `[G]` are the
    indices of the block's rows, and −1 for padding. Of equal scores the one seen first
    wins, so the lowest index.
    """
    # In full float32, though the default of some hardware is coarser.
    scores = jnp.matmul(queries, gallery.T, precision=lax.Precision.HIGHEST)
    if squared:
        near = have_cancelled(scores, -queries[:, -2], -gallery[:, -1])
        real = (ids >= 0) & (queries[:, -1:] != 0)  # rather than padding
        scores = from_differences(
            scores, near & real, lambda: (queries[:, :-2] / 2, gallery[:, :-2])
        )
    scores = jnp.where(ids >= 0, scores, -jnp.inf)
    scores, place = lax.top_k(scores, min(k, len(ids)))
    scores = jnp.concatenate([best[0], scores], axis=1)
    ids = jnp.concatenate([best[1], ids[place]], axis=1)
    scores, place = lax.top_k(scores, k)
    return scores, jnp.take_along_axis(ids, place, axis=1)


def _with_equal_rows(scores, indices, first, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the k best of the rows found `[Q, K]` and of all rows that equal them.

    `first` `[N]` is the index of the first row equal to each. Only first rows have been
    searched.
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
    """Return the most frequent label `[Q]` of each row of neighbors' labels `[Q, k]`.

    Neighbors are sorted, the nearest first. Of equally frequent labels the nearest
    wins.

    >>> vote(np.array([[1, 2, 2], [3, 4, 5]]))
    array([2, 3])
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
    """Return the share of test examples whose k nearest neighbors elect their label.

    The neighbors are training examples and their majority is that of `vote`.

    Args:
      train_embeddings: `[N, D]`.
      train_labels: integers `[N]`.
      test_embeddings: `[M, D]`.
      test_labels: integers `[M]`.
      k: the number of neighbors.
      metric: "cosine" or "euclidean".
      chunk: the number of rows and columns of a tile.

    Raises:
      UserError: as `top_k`, and for labels that don't fit.

    >>> train = np.array([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0], [-0.6, 0.8]])
    >>> knn_accuracy(train, [0, 0, 1, 1], train[1:3], [0, 0], k=1)
    0.5
    """
    train_labels = check_labels(train_labels, count_rows(train_embeddings, "rows"))
    test_labels = check_labels(test_labels, count_rows(test_embeddings, "rows"))
    _, nearest = top_k(test_embeddings, train_embeddings, k, metric, chunk)
    rows = max(1, min(chunk, VOTES // k**2))
    elected = [vote(train_labels[block]) for block in blocks(nearest, rows)]
    return float(np.mean(np.concatenate(elected)[: len(test_labels)] == test_labels))


def nearest_others(queries, gallery, own, k: int = 1, chunk: int = TILE):
    """Return the k gallery rows `[Q, k]` nearest in angle to each query, except one.

    Rows are chosen by their cosines, so among rows within 0.02 degrees of each other
    another one may be taken.

    Args:
      queries: `[Q, D]`.
      gallery: `[N, D]`.
      own: the gallery row `[Q]` that each query leaves out.
      k: the number of rows, below N.
      chunk: the number of rows and columns of a tile.

    >>> x = np.array([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0], [-0.6, 0.8]])
    >>> nearest_others(x, x, own=np.arange(4)).ravel().tolist()
    [1, 0, 3, 2]
    """
    _, nearest = top_k(queries, gallery, k + 1, chunk=chunk)
    # False sorts first, so the row to leave out is last. Without one, the last of
    # the k + 1 rows is surplus.
    others = np.argsort(nearest == np.reshape(own, (-1, 1)), axis=1, kind="stable")
    return np.take_along_axis(nearest, others[:, :k], axis=1)
