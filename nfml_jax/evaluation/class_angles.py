"""C."""

import numpy as np

from nfml_jax.errors import UserError
from nfml_jax.evaluation.inputs import (
    check_digits,
    check_needed,
    check_same_dimensions,
    needed_digits,
)
from nfml_jax.evaluation.neighbors import nearest_others
from nfml_jax.evaluation.tiles import TILE
from nfml_jax.ops.distances import unit
from nfml_jax.ops.labels import check_labels


def angle(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The angle [...] between vectors `a` and `b` [..., D], in degrees, 0 to 180.

    2 atan2(‖â − b̂‖, ‖â + b̂‖) of the unit vectors: unlike acos it keeps float32's full
    accuracy near 0 and 180 degrees. A zero vector is at 90 degrees to any other.
    """
    a, b = unit(a), unit(b)
    norm = np.linalg.norm
    return np.rad2deg(2 * np.arctan2(norm(a - b, axis=-1), norm(a + b, axis=-1)))


def class_means(embeddings, labels) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean unit embedding [K, D] of each class that occurs, and the classes.

    embeddings [N, D], labels [N], classes [K].
    """
    embeddings = check_digits(embeddings)
    labels = check_labels(labels, len(embeddings))
    dtype = needed_digits(embeddings).dtype
    classes, index, counts = np.unique(labels, return_inverse=True, return_counts=True)
    order = np.argsort(index, kind="stable")
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    sums = np.add.reduceat(unit(embeddings)[order], starts, axis=0, dtype=np.float64)
    return (sums / counts[:, None]).astype(dtype), classes


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

    * `w_ec`: mean angle between a class's weight and the center of its embeddings;
    * `w_inter`: mean over classes of the smallest angle to another class's weight;
    * `intra`: mean angle between an embedding and the center of its class;
    * `inter`: mean over classes of the smallest angle to another class's center.

    The center is the mean of the unit embeddings; classes without examples count in
    `w_inter` only. UserError for fewer than two classes, or labels without a weight.
    """
    if weights is None:
        embeddings = check_needed(embeddings)
        labels = check_labels(labels, len(embeddings))
    else:
        embeddings, weights, labels = _checked(embeddings, weights, labels)
    centers, classes = class_means(embeddings, labels)
    own = centers[np.searchsorted(classes, labels)]
    angles = {"intra": angle(embeddings, own), "inter": _nearest_angle(centers, chunk)}
    if weights is not None:
        angles["w_ec"] = angle(weights[classes], centers)
        angles["w_inter"] = _nearest_angle(weights, chunk)
    return {
        name: float(values.mean(dtype=np.float64)) for name, values in angles.items()
    }


def _nearest_angle(x: np.ndarray, chunk: int) -> np.ndarray:
    return angle(x, x[_nearest_other(x, x, np.arange(len(x)), chunk)])


def _nearest_other(queries, gallery, own, chunk: int):
    if len(gallery) < 2:
        raise UserError("Angles between classes need at least two classes; found one.")
    return nearest_others(queries, gallery, own, chunk=chunk)[:, 0]


def _checked(embeddings, weights, labels):
    embeddings = check_needed(embeddings)
    weights = check_needed(weights, "class weights")
    labels = check_labels(labels, len(embeddings), len(weights))
    check_same_dimensions(embeddings, weights, "Embeddings and class weights")
    return embeddings, weights, labels
