"""Metrics in closed form, which whiten all rows or the rows within classes."""

import numpy as np

from nfml_jax.errors import UserError
from nfml_jax.mahalanobis.learner import learner


@learner
def euclidean(x, labels):
    """Return L = I, the baseline of all learners.

    Args:
      x: rows `[N, D]`.
      labels: integers `[N]`.

    >>> euclidean([[1.0, 2.0], [3.0, 4.0]], [0, 1]).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    return np.eye(x.shape[1])


@learner
def covariance(x, labels):
    """Return L = Σ^(-1/2) `[D, D]`, where Σ is the covariance of all rows.

    This is the metric of Mahalanobis (1936). Distances don't change if x is mapped by
    an invertible matrix. Labels are ignored. Directions in which x doesn't vary have no
    weight.

    Args:
      x: rows `[N, D]`.
      labels: integers `[N]`.

    Raises:
      UserError: for rows that are all equal.

    >>> x = [[0.0, 0.0], [0.0, 2.0], [4.0, 0.0], [4.0, 2.0]]
    >>> np.diag(covariance(x, [0, 0, 1, 1])).round(3)
    array([0.5, 1. ])
    """
    return _whitening(x - x.mean(axis=0))


@learner
def rca(x, labels):
    """Return L = S^(-1/2) `[D, D]`, where S is the covariance within classes.

    This is relevant component analysis (Bar-Hillel et al. 2005) with the classes as
    chunklets. Directions that vary within classes have little weight. Directions in
    which no class varies have none.

    Args:
      x: rows `[N, D]`.
      labels: integers `[N]`.

    Raises:
      UserError: if no class has two rows, or no class varies.

    >>> rca([[0.0, 0.0], [4.0, 1.0], [9.0, 5.0], [5.0, 6.0]], [0, 0, 1, 1]).round(1)
    array([[0.5, 0. ],
           [0. , 2. ]])
    """
    classes, number = np.unique(labels, return_inverse=True)
    if len(classes) == len(labels):
        raise UserError(
            f"rca got {len(labels)} rows of different classes; expected a class of "
            "two rows or more."
        )
    sums = np.zeros((len(classes), x.shape[1]))
    np.add.at(sums, number, x)
    means = sums / np.bincount(number)[:, None]
    return _whitening(x - means[number])


def _whitening(centered):
    """Return the symmetric root of the pseudo-inverse covariance of rows `[N, D]`.

    It uses singular values of the rows, which keep the digits that squares lose.
    """
    values, axes = np.linalg.svd(
        centered / np.sqrt(len(centered)), full_matrices=False
    )[1:]
    # numpy.linalg.matrix_rank takes smaller values for zero.
    varies = values > values.max() * max(centered.shape) * np.finfo(np.float64).eps
    if not varies.any():
        raise UserError(
            f"all {len(centered)} rows are equal, or equal within classes; give rows "
            "that vary."
        )
    inverse = np.where(varies, 1 / np.where(varies, values, 1), 0)
    return (axes.T * inverse) @ axes
