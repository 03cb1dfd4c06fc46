"""Outliers of a training set, by sub-centers: Deng et al. 2020 (ECCV), sec. 3.3.

Train with `SubCenterArcFace`, drop the outliers, and train again with one center:
`python -m nfml_jax outliers RUN` lists those of a run.
"""

import numpy as np

from nfml_jax.errors import UserError
from nfml_jax.ops.distances import unit
from nfml_jax.ops.labels import check_labels

# Rows at a time: their cosines with all the sub-centers of their classes are held.
CHUNK = 4096


def dominant_centers(embeddings, labels, weights) -> np.ndarray:
    """Return the sub-center `[C]` of each class that is nearest to most examples.

    Args:
      embeddings: `[N, D]`, of any length.
      labels: `[N]`, in [0, C).
      weights: sub-centers `[C, K, D]`, of any length.

    A class without examples gets its first sub-center.

    >>> weights = [[[1.0, 0.0], [0.0, 1.0]]]
    >>> dominant_centers([[0.1, 1.0], [0.0, 2.0], [1.0, 0.0]], [0, 0, 0], weights)
    array([1])

    """
    embeddings, labels, weights = _checked(embeddings, labels, weights)
    wins = np.zeros(weights.shape[:2], int)
    for rows in _chunks(len(labels)):
        cosines = _cosines(embeddings[rows], weights[labels[rows]])
        np.add.at(wins, (labels[rows], cosines.argmax(axis=1)), 1)
    return wins.argmax(axis=1)


def outliers(embeddings, labels, weights, degrees: float = 75.0) -> np.ndarray:
    """Return a mask `[N]` of examples far from their class's dominant sub-center.

    Args:
      embeddings: `[N, D]`, of any length; a zero vector counts as 90° away.
      labels: `[N]`, in [0, C).
      weights: sub-centers `[C, K, D]`, or one center of each class `[C, D]`.
      degrees: the angle beyond which an example is an outlier.

    >>> outliers([[0.1, 1.0], [0.0, 2.0], [1.0, 0.0]], [0, 0, 0], [[0.0, 1.0]])
    array([False, False,  True])

    """
    if not 0.0 <= degrees <= 180.0:
        raise UserError(
            f"outliers got degrees={degrees!r}; expected an angle from 0 to 180, such "
            "as the paper's 75."
        )
    embeddings, labels, weights = _checked(embeddings, labels, weights)
    dominant = dominant_centers(embeddings, labels, weights)
    centers = weights[np.arange(len(weights)), dominant][:, None]
    far = np.zeros(len(labels), bool)
    for rows in _chunks(len(labels)):
        cosines = _cosines(embeddings[rows], centers[labels[rows]])[:, 0]
        far[rows] = cosines < np.cos(np.radians(degrees))
    return far


def _checked(embeddings, labels, weights):
    embeddings, weights = np.asarray(embeddings), np.asarray(weights)
    if weights.ndim == 2:
        weights = weights[:, None]
    fits = embeddings.ndim == 2 and weights.ndim == 3
    if not fits or weights.shape[2] != embeddings.shape[1]:
        raise UserError(
            f"embeddings and weights have the shapes {list(embeddings.shape)} and "
            f"{list(weights.shape)}; expected [N, D] and [C, K, D]."
        )
    labels = check_labels(labels, len(embeddings), len(weights))
    # Unit vectors in the given precision first: float32 has no room for their squares.
    return unit(embeddings).astype(np.float32), labels, unit(weights).astype(np.float32)


def _cosines(embeddings, centers):
    """Return cosines [n, K] of unit embeddings [n, D] with unit centers [n, K, D]."""
    return np.einsum("nd,nkd->nk", embeddings, centers)


def _chunks(count):
    return [slice(start, start + CHUNK) for start in range(0, count, CHUNK)]
