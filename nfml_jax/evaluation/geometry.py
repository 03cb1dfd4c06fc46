"""Angles between embeddings, class means and class weights: ArcFace's Table 3.

Deng et al., "ArcFace: Additive Angular Margin Loss for Deep Face Recognition", CVPR
2019. All angles are in degrees.
"""

import numpy as np

from nfml_jax.errors import UserError
from nfml_jax.evaluation.arrays import (
    TILE,
    check_labels,
    check_same_dimensions,
    check_vectors,
    unit,
)
from nfml_jax.evaluation.neighbours import top_k


def angle(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The angle [...] between vectors `a` and `b` [..., D], in degrees, 0 to 180.

    2 atan2(‖â − b̂‖, ‖â + b̂‖) of the unit vectors: unlike acos it keeps float32's full
    accuracy near 0 and 180 degrees. A zero vector is at 90 degrees to any other.
    """
    a, b = unit(a), unit(b)
    norm = np.linalg.norm
    return np.rad2deg(2 * np.arctan2(norm(a - b, axis=-1), norm(a + b, axis=-1)))


def _nearest_other(queries, gallery, own, chunk: int = TILE) -> np.ndarray:
    """The gallery row [Q] nearest in angle to each query, leaving out row `own` [Q].

    Chosen by cosine: among rows within 0.02 degrees of each other it may take another.
    """
    if len(gallery) < 2:
        raise UserError("Angles between classes need at least two classes; found one.")
    _, nearest = top_k(queries, gallery, k=2, chunk=chunk)
    return np.where(nearest[:, 0] == own, nearest[:, 1], nearest[:, 0])


def _nearest_angle(x: np.ndarray, chunk: int) -> np.ndarray:
    return angle(x, x[_nearest_other(x, x, np.arange(len(x)), chunk)])


def class_means(embeddings, labels) -> tuple[np.ndarray, np.ndarray]:
    """The mean unit embedding [K, D] of each class that occurs, and the classes [K]."""
    classes, index, counts = np.unique(labels, return_inverse=True, return_counts=True)
    order = np.argsort(index, kind="stable")
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    sums = np.add.reduceat(unit(embeddings)[order], starts, axis=0, dtype=np.float64)
    return (sums / counts[:, None]).astype(np.float32), classes


def target_angles(embeddings, weights, labels) -> np.ndarray:
    """The angle [N] between each embedding [N, D] and its class's weight of [C, D]."""
    embeddings, weights, labels = _checked(embeddings, weights, labels)
    return angle(embeddings, weights[labels])


def nearest_other_angles(embeddings, weights, labels, chunk: int = TILE) -> np.ndarray:
    """The angle [N] between each embedding and the nearest weight of another class."""
    embeddings, weights, labels = _checked(embeddings, weights, labels)
    return angle(
        embeddings, weights[_nearest_other(embeddings, weights, labels, chunk)]
    )


def angle_statistics(
    embeddings, labels, weights=None, chunk: int = TILE
) -> dict[str, float]:
    """The four statistics of ArcFace's Table 3, in degrees.

    embeddings [N, D], labels [N], and class weights [C, D] where the model has them.

    * `w_ec`: mean angle between a class's weight and the centre of its embeddings;
    * `w_inter`: mean over classes of the smallest angle to another class's weight;
    * `intra`: mean angle between an embedding and the centre of its class;
    * `inter`: mean over classes of the smallest angle to another class's centre.

    The centre is the mean of the unit embeddings; classes without examples count in
    `w_inter` only. UserError for fewer than two classes, or labels without a weight.
    """
    if weights is None:
        embeddings = check_vectors(embeddings)
        labels = check_labels(labels, len(embeddings))
    else:
        embeddings, weights, labels = _checked(embeddings, weights, labels)
    centres, classes = class_means(embeddings, labels)
    own = centres[np.searchsorted(classes, labels)]
    angles = {"intra": angle(embeddings, own), "inter": _nearest_angle(centres, chunk)}
    if weights is not None:
        angles["w_ec"] = angle(weights[classes], centres)
        angles["w_inter"] = _nearest_angle(weights, chunk)
    return {
        name: float(values.mean(dtype=np.float64)) for name, values in angles.items()
    }


def _checked(embeddings, weights, labels):
    embeddings = check_vectors(embeddings)
    weights = check_vectors(weights, "class weights")
    labels = check_labels(labels, len(embeddings), len(weights))
    check_same_dimensions(embeddings, weights, "Embeddings and class weights")
    return embeddings, weights, labels
