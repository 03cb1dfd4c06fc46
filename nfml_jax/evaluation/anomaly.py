"""How well strange points are told from ordinary ones, and what a density must beat.

The detectors here are the plain ones: a normal density for each class, the Mahalanobis
distance of Lee et al. (NeurIPS 2018), and the distance to the k-th neighbor.
"""

from dataclasses import dataclass

import numpy as np
from scipy import linalg, special

from nfml_jax.errors import UserError
from nfml_jax.evaluation.accept_rates import roc
from nfml_jax.evaluation.inputs import check_needed
from nfml_jax.evaluation.neighbors import top_k
from nfml_jax.ops.labels import check_labels

RIDGE = 1e-4
"""The share of the mean variance that is added to each variance.

Covariances of few rows are singular without it.
"""


def out_of_distribution(inside_scores, outside_scores) -> dict[str, float]:
    """How well scores, higher for stranger points, tell `[N]` inside from `[M]` out.

    `auroc`, the probability that an outside point scores higher, ties counting half;
    `auroc_error`, its standard error (Hanley and McNeil 1982); `average_precision`, the
    mean over outside points of the share of these among all that score as high;
    `fpr@tpr=95`, the least share of inside points flagged when at least 95 % of those
    outside are.
    """
    curve = roc(outside_scores, inside_scores)
    area, m, n = curve.auc, curve.genuine[-1], curve.impostor[-1]
    spread = area * (1 - area)
    spread += (m - 1) * (area / (2 - area) - area**2)
    spread += (n - 1) * (2 * area**2 / (1 + area) - area**2)
    precision = curve.genuine[1:] / (curve.genuine + curve.impostor)[1:]
    enough = np.searchsorted(curve.tar, 0.95)
    return {
        "auroc": area,
        "auroc_error": float(np.sqrt(max(spread, 0) / (m * n))),
        "average_precision": float((np.diff(curve.tar) * precision).sum()),
        "fpr@tpr=95": float(curve.far[enough]),
    }


@dataclass(frozen=True)
class GaussianClasses:
    """A normal density for each class: what a class-conditional flow should beat.

    `mean [C, D]`, `root [C, D, D]`, the lower Cholesky factors of the covariances, and
    `shared_root [D, D]`, that of the covariance within classes; `log_prior [C]`.
    """

    mean: np.ndarray
    root: np.ndarray
    shared_root: np.ndarray
    log_prior: np.ndarray

    @classmethod
    def fit(cls, x, labels, num_classes: int) -> "GaussianClasses":
        """By maximum likelihood of rows `[N, D]`, two or more of each class."""
        x = _digits(x)
        labels = check_labels(labels, len(x), num_classes)
        counts = np.bincount(labels, minlength=num_classes)
        if counts.min() < 2:
            raise UserError(
                f"class {counts.argmin()} has {counts.min()} training rows; a normal "
                "density of it takes two or more."
            )
        order = np.argsort(labels, kind="stable")
        groups = np.split(x[order], np.cumsum(counts)[:-1])
        mean = np.stack([group.mean(axis=0) for group in groups])
        centered = [group - m for group, m in zip(groups, mean, strict=True)]
        return cls(
            mean,
            np.stack([_root(group) for group in centered]),
            _root(np.concatenate(centered)),
            np.log(counts / counts.sum()),
        )

    def log_joint(self, x) -> np.ndarray:
        """log p(x, class) `[N, C]` of rows `[N, D]`."""
        z = self._whitened(x, self.root)
        volume = np.log(np.diagonal(self.root, axis1=1, axis2=2)).sum(axis=1)
        constant = 0.5 * self.mean.shape[1] * np.log(2 * np.pi)
        return self.log_prior - 0.5 * (z**2).sum(-1) - volume - constant

    def log_prob(self, x) -> np.ndarray:
        """log p(x) `[N]`, whatever the class."""
        return np.asarray(special.logsumexp(self.log_joint(x), axis=1))

    def mahalanobis(self, x) -> np.ndarray:
        """The distance `[N]` to the nearest class mean under the shared covariance."""
        roots = np.broadcast_to(self.shared_root, self.root.shape)
        return np.sqrt((self._whitened(x, roots) ** 2).sum(-1).min(axis=1))

    def _whitened(self, x, roots):
        x = _digits(x)
        pairs = zip(self.mean, roots, strict=True)
        z = [linalg.solve_triangular(r, (x - m).T, lower=True).T for m, r in pairs]
        return np.stack(z, axis=1)


def knn_distance(train, x, k: int = 5) -> np.ndarray:
    """The distance `[N]` of rows `[N, D]` to their k-th nearest training row.

    Errors of `neighbors.top_k`.
    """
    similarity, _ = top_k(x, train, k, "euclidean")
    return np.sqrt(np.maximum(-similarity[:, -1], 0))


def _digits(x):
    return check_needed(x, "rows").astype(np.float64)


def _root(centered):
    if not centered.any():
        raise UserError(
            f"{len(centered)} rows of a class are all alike; a normal density takes "
            "rows that differ."
        )
    covariance = centered.T @ centered / len(centered)
    covariance += (
        RIDGE * np.trace(covariance) / len(covariance) * np.eye(len(covariance))
    )
    return np.linalg.cholesky(covariance)
