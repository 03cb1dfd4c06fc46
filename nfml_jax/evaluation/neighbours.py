"""Nearest neighbours: exact top-k search in tiles, and the kNN accuracy made of it."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from nfml_jax.errors import UserError
from nfml_jax.evaluation.arrays import (
    TILE,
    blocks,
    check_labels,
    check_same_dimensions,
    check_vectors,
    unit,
)


def _cosine(queries, gallery):
    return unit(queries), unit(gallery)


def _euclidean(queries, gallery):
    # −‖q − g‖² = 2 q·g − ‖q‖² − ‖g‖². Less cancels when the gallery is centred.
    mean = gallery.mean(axis=0)
    q, g = queries - mean, gallery - mean
    squares = [np.sum(x * x, axis=1, keepdims=True) for x in (q, g)]
    one = [np.ones_like(square) for square in squares]
    return np.hstack([2 * q, -squares[0], one[0]]), np.hstack([g, one[1], -squares[1]])


METRICS = {"cosine": _cosine, "euclidean": _euclidean}
"""Name -> maps of queries and gallery whose inner product is their similarity."""


@functools.partial(jax.jit, static_argnames="k")
def _merge(best, queries, gallery, ids, k):
    """The k best of `best` (scores and ids [Q, k]) and a block of the gallery.

    `ids` [G] number the block's rows, −1 for padding. Of equal scores the one seen
    first wins, so the lowest id.
    """
    # The full float32 product also where the hardware's default is coarser.
    scores = jnp.matmul(queries, gallery.T, precision=lax.Precision.HIGHEST)
    scores = jnp.where(ids >= 0, scores, -jnp.inf)
    scores, place = lax.top_k(scores, min(k, len(ids)))
    scores = jnp.concatenate([best[0], scores], axis=1)
    ids = jnp.concatenate([best[1], ids[place]], axis=1)
    scores, place = lax.top_k(scores, k)
    return scores, jnp.take_along_axis(ids, place, axis=1)


def top_k(
    queries, gallery, k: int, metric: str = "cosine", chunk: int = TILE
) -> tuple[np.ndarray, np.ndarray]:
    """The k nearest gallery rows of each query: similarities and indices [Q, k].

    queries [Q, D], gallery [N, D]; best first, of equal ones the lowest index. The
    similarity is the cosine, or minus the squared distance for "euclidean". Holds
    chunk² scores at a time. UserError for an unknown metric, k outside 1 … N, or
    embeddings that are empty, not finite, or
    of different dimensions.
    """
    if metric not in METRICS:
        raise UserError(f"metric is {metric!r}; expected one of {', '.join(METRICS)}.")
    queries, gallery = check_vectors(queries, "queries"), check_vectors(gallery)
    check_same_dimensions(queries, gallery, "Queries and gallery")
    if not 1 <= k <= len(gallery):
        raise UserError(f"k is {k}; expected 1 to the {len(gallery)} rows searched.")
    queries, gallery = METRICS[metric](queries, gallery)
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
            best = _merge(best, block, tile, tile_ids, k)
        found.append(jax.device_get(best))
    scores, indices = (
        np.concatenate(x)[: len(queries)] for x in zip(*found, strict=True)
    )
    return scores, indices


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
    train_labels = check_labels(train_labels, len(train_embeddings))
    test_labels = check_labels(test_labels, len(test_embeddings))
    _, nearest = top_k(test_embeddings, train_embeddings, k, metric, chunk)
    elected = [vote(train_labels[block]) for block in blocks(nearest, chunk)]
    return float(np.mean(np.concatenate(elected)[: len(test_labels)] == test_labels))
