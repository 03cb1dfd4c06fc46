"""Metrics in closed form: those that whiten all rows, or the rows within classes."""

import numpy as np

from nfml_jax.errors import UserError
from nfml_jax.mahalanobis.learner import learner


@learner
def euclidean(x, labels):
    """L = I: what the others should do better than."""
    return np.eye(x.shape[1])


@learner
def covariance(x, labels):
    """L = Σ^(-1/2), Σ being the covariance of all rows: Mahalanobis (1936).

    Distances don't change when x goes through an invertible linear map. It leaves
    labels alone. Directions in which x doesn't vary count nothing.
    """
    return _whitening(x - x.mean(axis=0))


@learner
def rca(x, labels):
    """L = S^(-1/2), S being the covariance within classes.

    Relevant component analysis (Bar-Hillel et al. 2005), the classes being its
    chunklets: what varies within a class counts little. Directions in which no class
    varies count nothing.
    """
    classes, number = np.unique(labels, return_inverse=True)
    if len(classes) == len(labels):
        raise UserError(
            f"rca got {len(labels)} rows, each of a class of its own; expected a class "
            "of two rows or more."
        )
    sums = np.zeros((len(classes), x.shape[1]))
    np.add.at(sums, number, x)
    means = sums / np.bincount(number)[:, None]
    return _whitening(x - means[number])


def _whitening(centered):
    """The symmetric root of the pseudo-inverse of the covariance of rows `[N, D]`.

    By singular values of the rows, which keep the digits that squaring them loses.
    """
    values, axes = np.linalg.svd(
        centered / np.sqrt(len(centered)), full_matrices=False
    )[1:]
    # What numpy.linalg.matrix_rank takes for zero.
    varies = values > values.max() * max(centered.shape) * np.finfo(np.float64).eps
    if not varies.any():
        raise UserError(
            f"all {len(centered)} rows are alike within what is whitened; give rows "
            "that vary."
        )
    inverse = np.where(varies, 1 / np.where(varies, values, 1), 0)
    return (axes.T * inverse) @ axes
