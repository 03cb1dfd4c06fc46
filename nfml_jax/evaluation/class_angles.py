"""Angles between embeddings, class weights and class means, in degrees.

The statistics are those of Table 3 of Deng et al., "ArcFace: Additive Angular Margin
Loss for Deep Face Recognition", CVPR 2019.
"""

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
    """Return the angle `[...]` in degrees between vectors `a` and `b` `[..., D]`.

    It is 2 atan2(‖â − b̂‖, ‖â + b̂‖) of the unit vectors. Unlike the arccosine it keeps
    the full accuracy of float32 near 0 and 180 degrees. A zero vector is at 90 degrees
    to any other.

    >>> angle(np.array([1.0, 0.0]), np.array([[1.0, 1.0], [0.0, 2.0]]))
    array([45., 90.])
    """
    a, b = unit(a), unit(b)
    norm = np.linalg.norm
    return np.rad2deg(2 * np.arctan2(norm(a - b, axis=-1), norm(a + b, axis=-1)))


def class_means(embeddings, labels) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean unit embedding of each class that occurs, and these classes.

    Args:
      embeddings: `[N, D]`, of any length.
      labels: integers `[N]`.

    Returns:
      The means `[K, D]`, whose length is at most 1, and the K sorted class labels.

    >>> means, classes = class_means([[2.0, 0.0], [0.0, 1.0], [0.0, 3.0]], [4, 4, 7])
    >>> means.tolist(), classes.tolist()
    ([[0.5, 0.5], [0.0, 1.0]], [4, 7])
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
    """Return the angle `[N]` in degrees between each embedding and its class's weight.

    Args:
      embeddings: `[N, D]`, of any length.
      weights: one weight for each class, `[C, D]`.
      labels: integers `[N]`, in [0, C).

    >>> target_angles([[1.0, 0.0], [1.0, 1.0]], np.eye(2), [0, 1])
    array([ 0., 45.])
    """
    embeddings, weights, labels = _checked(embeddings, weights, labels)
    return angle(embeddings, weights[labels])


def nearest_other_angles(embeddings, weights, labels, chunk: int = TILE) -> np.ndarray:
    """Return the angle `[N]` in degrees to the nearest weight of another class.

    Args:
      embeddings: `[N, D]`, of any length.
      weights: one weight for each class, `[C, D]`, of two or more classes.
      labels: integers `[N]`, in [0, C).
      chunk: the number of rows and columns of a tile.

    >>> nearest_other_angles([[1.0, 0.0], [1.0, 1.0]], np.eye(2), [0, 1])
    array([90., 45.])
    """
    embeddings, weights, labels = _checked(embeddings, weights, labels)
    return angle(
        embeddings, weights[_nearest_other(embeddings, weights, labels, chunk)]
    )


def angle_statistics(
    embeddings, labels, weights=None, chunk: int = TILE
) -> dict[str, float]:
    """Return the statistics of ArcFace's Table 3, in degrees.

    The center of a class is the mean of its unit embeddings. Classes without examples
    count in `w_inter` only.

    Args:
      embeddings: `[N, D]`, of any length.
      labels: integers `[N]`.
      weights: class weights `[C, D]`, or None for a model without them.
      chunk: the number of rows and columns of a tile.

    Returns:
      `intra`, the mean angle between an embedding and the center of its class;
      `inter`, the mean over classes of the smallest angle to another class's center;
      and with weights also
      `w_ec`, the mean angle between a class's weight and its center;
      `w_inter`, the mean over classes of the smallest angle to another class's weight.

    Raises:
      UserError: for fewer than two classes, or a label without a weight.

    >>> found = angle_statistics([[1.0, 0.0], [0.0, 1.0]], [0, 1])
    >>> {name: round(degrees, 3) for name, degrees in found.items()}
    {'intra': 0.0, 'inter': 90.0}
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
    """Return the angle `[N]` of each row of `x` to the nearest other row."""
    return angle(x, x[_nearest_other(x, x, np.arange(len(x)), chunk)])


def _nearest_other(queries, gallery, own, chunk: int):
    """Return the gallery row `[Q]` nearest to each query, except row `own` `[Q]`."""
    if len(gallery) < 2:
        raise UserError("Angles between classes need at least two classes; found one.")
    return nearest_others(queries, gallery, own, chunk=chunk)[:, 0]


def _checked(embeddings, weights, labels):
    """Return embeddings, weights and labels that fit each other."""
    embeddings = check_needed(embeddings)
    weights = check_needed(weights, "class weights")
    labels = check_labels(labels, len(embeddings), len(weights))
    check_same_dimensions(embeddings, weights, "Embeddings and class weights")
    return embeddings, weights, labels
