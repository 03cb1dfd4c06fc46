"""Metrics on vectors: the Mahalanobis metric, and those who learn one from labels.

`METRIC_LEARNERS["lmnn"](x, labels)` gives L; then distances are those between rows of
`x @ L.T`, and any search or evaluation of embeddings is one under the metric.
"""

from nfml_jax.mahalanobis.itml import itml
from nfml_jax.mahalanobis.lmnn import lmnn
from nfml_jax.mahalanobis.mahalanobis import Mahalanobis, variables
from nfml_jax.mahalanobis.nca import nca
from nfml_jax.mahalanobis.scatter import covariance, euclidean, rca

# Name -> function of rows [N, D], labels [N] and options, returning L [rank, D].
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
