"""Outliers of a training set, told by sub-centres: Deng et al. 2020 (ECCV), sec. 3.3.

Train with `SubCenterArcFace`, drop the outliers, and train again with one centre:
`python -m nfml_jax outliers RUN` lists those of a run.
"""

import numpy as np

from nfml_jax.errors import UserError
from nfml_jax.ops.distances import unit
from nfml_jax.ops.labels import check_labels

# Rows at a time: their cosines with all the sub-centres of their classes are held.
CHUNK = 4096


def dominant_centres(embeddings, labels, weights) -> np.ndarray:
    """Each class's sub-centre [C] that is the nearest to most of its examples.

    `embeddings` [N, D], `labels` [N] in [0, C), `weights` [C, K, D]; none need be
    normalised. A class without examples gets its first.
    """
    embeddings, labels, weights = _checked(embeddings, labels, weights)
    wins = np.zeros(weights.shape[:2], int)
    for rows in _chunks(len(labels)):
        cosines = _cosines(embeddings[rows], weights[labels[rows]])
        np.add.at(wins, (labels[rows], cosines.argmax(axis=1)), 1)
    return wins.argmax(axis=1)


def outliers(embeddings, labels, weights, degrees: float = 75.0) -> np.ndarray:
    """Which examples [N] lie farther than `degrees` from their dominant sub-centre.

    The arguments are those of `dominant_centres`; weights may be [C, D], one centre
    for each class. A zero vector counts as 90° away.
    """
    if not 0.0 <= degrees <= 180.0:
        raise UserError(
            f"outliers got degrees={degrees!r}; expected an angle from 0 to 180, such "
            "as the paper's 75."
        )
    embeddings, labels, weights = _checked(embeddings, labels, weights)
    dominant = dominant_centres(embeddings, labels, weights)
    centres = weights[np.arange(len(weights)), dominant][:, None]
    far = np.zeros(len(labels), bool)
    for rows in _chunks(len(labels)):
        cosines = _cosines(embeddings[rows], centres[labels[rows]])[:, 0]
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


def _cosines(embeddings, centres):
    """Return cosines [n, K] of unit embeddings [n, D] with unit centres [n, K, D]."""
    return np.einsum("nd,nkd->nk", embeddings, centres)


def _chunks(count):
    return [slice(start, start + CHUNK) for start in range(0, count, CHUNK)]
