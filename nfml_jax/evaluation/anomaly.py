"""Outlier scores, how well they separate outliers, and the simplest detectors.

The detectors are a Gaussian for each class, the Mahalanobis distance of Lee et al.
(NeurIPS 2018), and the distance to the k-th nearest neighbor. A density or an embedding
should beat them.
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
    """Return how well scores separate out-of-distribution examples from others.

    Args:
      inside_scores: scores `[N]` of in-distribution examples.
      outside_scores: scores `[M]` of out-of-distribution examples, which should be
        higher.

    Returns:
      `auroc`, the probability that an outside example scores higher, where a tie counts
        half;
      `auroc_error`, its standard error (Hanley and McNeil 1982);
      `average_precision`, the mean over outside examples of the share of outside
        examples among all that score at least as high;
      `fpr@tpr=95`, the least share of inside examples flagged at a threshold that flags
        at least 95 % of those outside.

    Raises:
      UserError: for scores that are empty, NaN or not numeric.

    >>> found = out_of_distribution([0.1, 0.4, 0.2], [0.3, 0.9])
    >>> round(found["auroc"], 3), found["fpr@tpr=95"]
    (0.833, 0.3333333333333333)
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
    """A Gaussian for each class, which a class-conditional flow should beat.

    `mean` is `[C, D]`, `root` `[C, D, D]` are the lower Cholesky factors of the
    covariances, `shared_root` `[D, D]` is that of the covariance within classes, and
    `log_prior` is `[C]`.

    >>> rows = np.array([[0.0, 0.0], [2.0, 0.0], [0.0, 2.0], [9.0, 9.0], [9.0, 8.0]])
    >>> gaussians = GaussianClasses.fit(rows, [0, 0, 0, 1, 1], num_classes=2)
    >>> gaussians.log_joint(rows).argmax(axis=1)
    array([0, 0, 0, 1, 1])
    """

    mean: np.ndarray
    root: np.ndarray
    shared_root: np.ndarray
    log_prior: np.ndarray

    @classmethod
    def fit(cls, x, labels, num_classes: int) -> "GaussianClasses":
        """Return the Gaussians of maximum likelihood, given rows `[N, D]`.

        Raises:
          UserError: for a class with fewer than two rows, or with equal rows only.
        """
        x = _digits(x)
        labels = check_labels(labels, len(x), num_classes)
        counts = np.bincount(labels, minlength=num_classes)
        if counts.min() < 2:
            raise UserError(
                f"class {counts.argmin()} has {counts.min()} training rows; expected "
                "two or more for its Gaussian."
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
        """Return log p(x, class) `[N, C]` in nats of rows `[N, D]`."""
        z = self._whitened(x, self.root)
        volume = np.log(np.diagonal(self.root, axis1=1, axis2=2)).sum(axis=1)
        constant = 0.5 * self.mean.shape[1] * np.log(2 * np.pi)
        return self.log_prior - 0.5 * (z**2).sum(-1) - volume - constant

    def log_prob(self, x) -> np.ndarray:
        """Return log p(x) `[N]` in nats of rows `[N, D]`, summed over classes."""
        return np.asarray(special.logsumexp(self.log_joint(x), axis=1))

    def mahalanobis(self, x) -> np.ndarray:
        """Return the Mahalanobis distance `[N]` to the nearest class mean.

        The covariance is the one that classes share.
        """
        roots = np.broadcast_to(self.shared_root, self.root.shape)
        return np.sqrt((self._whitened(x, roots) ** 2).sum(-1).min(axis=1))

    def _whitened(self, x, roots):
        """Return L⁻¹(x - mean) `[N, C, D]` for each class's Cholesky factor L."""
        x = _digits(x)
        pairs = zip(self.mean, roots, strict=True)
        z = [linalg.solve_triangular(r, (x - m).T, lower=True).T for m, r in pairs]
        return np.stack(z, axis=1)


def knn_distance(train, x, k: int = 5) -> np.ndarray:
    """Return the Euclidean distance `[N]` of rows to their k-th nearest training row.

    Args:
      train: training rows `[M, D]`.
      x: rows `[N, D]`.
      k: the rank of the neighbor, at most M.

    Raises:
      UserError: as `neighbors.top_k`.

    >>> train = np.array([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0], [-0.6, 0.8]])
    >>> knn_distance(train, [[1.0, 3.0], [0.0, 1.0]], k=1).round(3)
    array([2.236, 0.   ], dtype=float32)
    """
    similarity, _ = top_k(x, train, k, "euclidean")
    return np.sqrt(np.maximum(-similarity[:, -1], 0))


def _digits(x):
    """Return rows `[N, D]` in float64."""
    return check_needed(x, "rows").astype(np.float64)


def _root(centered):
    """Return the Cholesky factor `[D, D]` of the covariance of centered rows."""
    if not centered.any():
        raise UserError(
            f"{len(centered)} rows of a class are all equal; expected rows that "
            "differ, for its Gaussian."
        )
    covariance = centered.T @ centered / len(centered)
    covariance += (
        RIDGE * np.trace(covariance) / len(covariance) * np.eye(len(covariance))
    )
    return np.linalg.cholesky(covariance)
