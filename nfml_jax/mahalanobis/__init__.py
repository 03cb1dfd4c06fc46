"""Mahalanobis metrics on vectors, and learners of such a metric from labels.

`METRIC_LEARNERS["lmnn"](x, labels)` returns L. The learned distances are Euclidean
distances between rows of `x @ L.T`, so any search or evaluation of embeddings works
with them.

>>> import numpy as np
>>> x = [[0.0, 0.0], [1.0, 0.1], [0.5, 0.2], [0.0, 1.0], [1.0, 1.1], [0.5, 1.2]]
>>> L = METRIC_LEARNERS["rca"](x, [0, 0, 0, 1, 1, 1])  # the first column is irrelevant
>>> z = np.array(x) @ L.T
>>> np.linalg.norm(z - z[0], axis=1).round(1).tolist()
[0.0, 2.4, 2.4, 14.1, 14.4, 16.3]
"""

from nfml_jax.mahalanobis.itml import itml
from nfml_jax.mahalanobis.lmnn import lmnn
from nfml_jax.mahalanobis.mahalanobis import Mahalanobis, variables
from nfml_jax.mahalanobis.nca import nca
from nfml_jax.mahalanobis.scatter import covariance, euclidean, rca

# Functions of rows [N, D], labels [N] and options that return L [rank, D], by name.
METRIC_LEARNERS = {
    "euclidean": euclidean,
    "covariance": covariance,
    "rca": rca,
    "nca": nca,
    "lmnn": lmnn,
    "itml": itml,
}

__all__ = [
    "METRIC_LEARNERS",
    "Mahalanobis",
    "covariance",
    "euclidean",
    "itml",
    "lmnn",
    "nca",
    "rca",
    "variables",
]
