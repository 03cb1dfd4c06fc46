"""Gaussians and Gaussian mixtures as baselines that a flow should beat."""

import warnings
from dataclasses import dataclass

import numpy as np
from scipy import linalg, special

MOST_ROWS = 10_000
"""The most rows that a mixture is fitted to; a Gaussian is fitted to all."""
COMPONENTS = (2, 4, 8, 16)
"""The numbers of components that `fit_mixture` tries beside 1."""
WIDE = 16
"""Columns beyond which mixtures have at most eight components."""
FULL = 64
"""Columns up to which a mixture's components have full covariances."""
MOST_COLUMNS = 1024
"""Columns up to which a Gaussian has a full covariance."""
RIDGE = 1e-6
"""The share of the mean variance that is added to each variance.

Covariances of few rows are singular without it.
"""
_CHUNK = 50_000


@dataclass(frozen=True)
class Mixture:
    """A mixture of Gaussians.

    `log_weights` are `[K]` and `means` `[K, D]`. `covariances` are `[K, D, D]`, or
    variances `[K, D]` of independent columns.

    >>> normal = Mixture(np.zeros(1), np.zeros((1, 2)), np.ones((1, 2)))
    >>> normal.log_prob([[0.0, 0.0]]).round(3)
    array([-1.838])
    """

    log_weights: np.ndarray
    means: np.ndarray
    covariances: np.ndarray

    @property
    def components(self) -> int:
        """The number of Gaussians."""
        return len(self.means)

    def log_prob(self, x, given=None) -> np.ndarray:
        """Return log-densities `[N]` in nats of rows `[N, D]`.

        Args:
          x: rows `[N, D]`.
          given: rows `[N, C]` that the density of `x` is conditioned on. They are the
            last columns of the mixture.
        """
        x = np.asarray(x, np.float64)
        if given is None:
            return self._log_prob(x)
        given = np.asarray(given, np.float64)
        whole = np.concatenate([x, given], axis=1)
        return self._log_prob(whole) - self._last(given.shape[1])._log_prob(given)

    def _last(self, count: int) -> "Mixture":
        """Return the mixture of the last columns alone."""
        last = slice(self.means.shape[1] - count, None)
        full = self.covariances.ndim == 3
        cut = self.covariances[:, last, last] if full else self.covariances[:, last]
        return Mixture(self.log_weights, self.means[:, last], cut)

    def _log_prob(self, x):
        """Return log-densities `[N]` of rows, computed in chunks."""
        parts = np.split(x, range(_CHUNK, len(x), _CHUNK))
        return np.concatenate([np.asarray(self._of_chunk(part)) for part in parts])

    def _of_chunk(self, x):
        """Return log-densities `[N]` of a chunk of rows."""
        found = []
        for log_weight, mean, covariance in zip(
            self.log_weights, self.means, self.covariances, strict=True
        ):
            if covariance.ndim == 2:
                root = np.linalg.cholesky(covariance)
                z = linalg.solve_triangular(root, (x - mean).T, lower=True)
                volume = np.log(np.diag(root)).sum()
            else:
                z = ((x - mean) / np.sqrt(covariance)).T
                volume = 0.5 * np.log(covariance).sum()
            constant = volume + 0.5 * len(mean) * np.log(2 * np.pi)
            found.append(log_weight - 0.5 * (z**2).sum(axis=0) - constant)
        return special.logsumexp(found, axis=0)


def fit_gaussian(x) -> Mixture:
    """Return the Gaussian of maximum likelihood of rows `[N, D]`.

    >>> fit_gaussian([[0.0, 1.0], [2.0, 1.0]]).means
    array([[1., 1.]])
    """
    x = np.asarray(x, np.float64)
    mean = x.mean(axis=0)
    variance = x.var(axis=0)
    ridge = RIDGE * (variance.mean() or 1.0)
    if x.shape[1] > MOST_COLUMNS:
        covariance = variance + ridge
    else:
        covariance = (x - mean).T @ (x - mean) / len(x) + ridge * np.eye(len(mean))
    return Mixture(np.zeros(1), mean[None], covariance[None])


def fit_mixture(x, validation=None, *, given: int = 0, seed: int = 0) -> Mixture:
    """Return a mixture fitted by EM, with the best number of components.

    The numbers tried are 1 and those of `COMPONENTS`. The best has the greatest
    likelihood of validation rows, or the least BIC without them.

    Args:
      x: training rows `[N, D]`, of which at most `MOST_ROWS` are used.
      validation: rows `[M, D]`, of which at most `MOST_ROWS` are used.
      given: the number of last columns that the density of the others is conditioned
        on. The conditional likelihood chooses then.
      seed: the seed of the first components.

    >>> rows = np.concatenate([np.arange(100.0), np.arange(100.0) + 10_000])[:, None]
    >>> fit_mixture(rows).components
    2
    """
    from sklearn.mixture import GaussianMixture
    from threadpoolctl import threadpool_limits  # scikit-learn's own

    x = np.asarray(x, np.float64)
    best = fit_gaussian(x)
    few = x[:: -(-len(x) // MOST_ROWS)]
    width = x.shape[1]
    if validation is not None:
        validation = np.asarray(validation)[:: -(-len(validation) // MOST_ROWS)]
    kind = "full" if width <= FULL else "diag"

    def likelihoods(mixture, rows):
        parts = np.split(rows, [width - given], axis=1)
        return mixture.log_prob(*parts) if given else mixture.log_prob(rows)

    def cost(mixture):
        if validation is not None:
            return -likelihoods(mixture, validation).mean()
        numbers = width * (width + 3) / 2 if kind == "full" else 2 * width
        numbers = mixture.components * (numbers + 1) - 1
        likelihood = likelihoods(mixture, few).sum()
        return numbers * np.log(len(few)) - 2 * likelihood

    least = cost(best)
    for count in COMPONENTS:
        own_rows = 2 * width if kind == "full" else 20
        if count * max(own_rows, 20) > len(few) or (count > 8 and width > WIDE):
            break
        fitted = GaussianMixture(
            count,
            covariance_type=kind,
            reg_covar=RIDGE * (x.var(axis=0).mean() or 1.0),
            max_iter=50,
            random_state=seed,
        )
        # With several threads, waiting takes longer than such small products.
        with warnings.catch_warnings(), threadpool_limits(1):
            warnings.simplefilter("ignore")  # EM has not quite converged
            fitted.fit(few)
        mixture = Mixture(
            np.log(np.asarray(fitted.weights_)),
            np.asarray(fitted.means_),
            np.asarray(fitted.covariances_),
        )
        found = cost(mixture)
        if found < least:
            best, least = mixture, found
    return best


@dataclass(frozen=True)
class ClassMixtures:
    """A density for each class, and `log_prior` `[C]`.

    >>> rows = np.array([[0.0], [1.0], [7.0], [9.0]])
    >>> densities = fit_classes(fit_gaussian, rows, np.array([0, 0, 1, 1]), classes=2)
    >>> densities.log_joint(rows).argmax(axis=1)
    array([0, 0, 1, 1])
    """

    of_class: tuple[Mixture, ...]
    log_prior: np.ndarray

    def log_joint(self, x) -> np.ndarray:
        """Return log p(x, class) `[N, C]` in nats of rows `[N, D]`."""
        x = np.asarray(x, np.float64)
        given = np.stack([density.log_prob(x) for density in self.of_class], axis=1)
        return given + self.log_prior

    def log_prob(self, x, labels) -> np.ndarray:
        """Return log p(x | class) `[N]` in nats of rows and their classes `[N]`."""
        x, found = np.asarray(x, np.float64), np.empty(len(x))
        for number, density in enumerate(self.of_class):
            rows = np.flatnonzero(labels == number)
            if len(rows):
                found[rows] = density.log_prob(x[rows])
        return found


def fit_classes(fit, x, labels, classes: int, validation=None, validation_labels=None):
    """Return `ClassMixtures` with one density fitted to each class.

    Args:
      fit: `fit_gaussian` or `fit_mixture`.
      x: training rows `[N, D]`.
      labels: classes `[N]`, in [0, C).
      classes: the number of classes, C.
      validation: rows `[M, D]` that choose the number of components.
      validation_labels: classes `[M]`.

    >>> rows = np.array([[0.0], [1.0], [7.0], [9.0]])
    >>> fit_classes(fit_gaussian, rows, np.array([0, 0, 1, 1]), 2).log_prior.round(3)
    array([-0.693, -0.693])
    """
    densities = []
    for number in range(classes):
        parts = [x[labels == number]]
        if validation is not None and fit is not fit_gaussian:
            held_out = validation[validation_labels == number]
            parts.append(held_out if len(held_out) else None)
        densities.append(fit(*parts))
    counts = np.bincount(labels, minlength=classes)
    return ClassMixtures(tuple(densities), np.log(counts / counts.sum()))
