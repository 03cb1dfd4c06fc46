"""Two-sample tests: are two sets of rows drawn from one density?

Compare a model's samples with fresh data, not with the rows it was trained on.
"""

import numpy as np
import scipy  # imports its slow parts on first use

from nfml_jax.errors import UserError
from nfml_jax.evaluation.inputs import (
    check_same_dimensions,
    check_vectors,
    without_common_part,
)
from nfml_jax.evaluation.tiles import TILE


def classifier_two_sample_test(
    a, b, *, folds: int = 5, max_rows: int = 2000, seed: int = 0, classifier=None
) -> dict[str, float]:
    """Return how well a classifier distinguishes the samples `a` and `b`.

    Lopez-Paz and Oquab, ICLR 2017. Equally many rows of both are used.

    Args:
      a: rows `[N, D]`.
      b: rows `[M, D]`.
      folds: the number of parts of the cross-validation.
      max_rows: the number of rows of each sample to use, at most.
      seed: the seed of the rows drawn, of the parts and of the classifier.
      classifier: a classifier of scikit-learn; by default a network with two hidden
        layers of 64 on standardized columns.

    Returns:
      `accuracy` over the cross-validation, ½ if the densities are equal;
      `accuracy_error`, its standard error; `p_value` of an accuracy as high by chance.

    Raises:
      UserError: for fewer rows than twice the folds, or rows that don't fit.

    >>> from sklearn.neighbors import KNeighborsClassifier
    >>> a, b = np.arange(20.0)[:, None], np.arange(20.0)[:, None] + 100
    >>> nearest = KNeighborsClassifier(1)
    >>> classifier_two_sample_test(a, b, classifier=nearest)["accuracy"]
    1.0
    """
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from threadpoolctl import threadpool_limits  # scikit-learn's own

    a, b = _equally_many(a, b, max_rows, seed)
    if len(a) < 2 * folds:
        raise UserError(
            f"each sample has {len(a)} rows; expected at least {2 * folds}, "
            f"twice the {folds} folds."
        )
    if classifier is None:
        network = MLPClassifier(
            (64, 64), max_iter=200, early_stopping=True, random_state=seed
        )
        classifier = make_pipeline(StandardScaler(), network)
    x, y = np.concatenate([a, b]), np.repeat([0, 1], len(a))
    parts = StratifiedKFold(folds, shuffle=True, random_state=seed)
    # Its matrix products are too small to share. On busy cores, several threads took
    # fifteen times as long as one, because they wait for each other.
    with threadpool_limits(1):
        right = cross_val_predict(classifier, x, y, cv=parts) == y
    accuracy = float(np.mean(right))
    by_chance = 0.5 / np.sqrt(len(y))
    return {
        "accuracy": accuracy,
        "accuracy_error": float(np.sqrt(accuracy * (1 - accuracy) / len(y))),
        "p_value": float(scipy.stats.norm.sf((accuracy - 0.5) / by_chance)),
    }


def maximum_mean_discrepancy(
    a, b, *, bandwidth: float | None = None, max_rows: int = 10_000, seed: int = 0
) -> dict[str, float]:
    """Return the squared MMD of two samples under a Gaussian kernel.

    The kernel is exp(-‖x-y‖² / 2 bandwidth²). Gretton et al., JMLR 2012. Equally many
    rows of both are used, in tiles of 1024 × 1024.

    Args:
      a: rows `[N, D]`.
      b: rows `[M, D]`.
      bandwidth: the bandwidth of the kernel; the median distance between points if
        None.
      max_rows: the number of rows of each sample to use, at most.
      seed: the seed of the rows drawn.

    Returns:
      `mmd2`, unbiased, so that it may be below 0 (equation 3);
      `mmd2_error`, its standard deviation if the densities are equal; `p_value` of a
      value as large if the densities are equal.

    Raises:
      UserError: for fewer than two rows, or rows that don't fit.

    >>> a = np.arange(20.0)[:, None]
    >>> maximum_mean_discrepancy(a, a + 100)["p_value"] < 1e-6
    True
    """
    a, b = (x.astype(np.float64) for x in _equally_many(a, b, max_rows, seed))
    if len(a) < 2:
        raise UserError("each sample has one row; expected two or more for the MMD.")
    if bandwidth is None:
        few = np.concatenate([a[: TILE // 2], b[: TILE // 2]])
        pairs = _square_distances(few, few)[np.triu_indices(len(few), 1)]
        bandwidth = float(np.sqrt(np.median(pairs))) or 1.0
    total = squares = 0.0
    for i in range(0, len(a), TILE):
        for j in range(i, len(a), TILE):
            rows, columns = slice(i, i + TILE), slice(j, j + TILE)
            h = _kernel(a[rows], a[columns], bandwidth)
            h += _kernel(b[rows], b[columns], bandwidth)
            h -= _kernel(a[rows], b[columns], bandwidth) + _kernel(
                b[rows], a[columns], bandwidth
            )
            if i == j:
                np.fill_diagonal(h, 0)
            twice = 1 if i == j else 2  # the tile below the diagonal is its transpose
            total += twice * h.sum()
            squares += twice * (h**2).sum()
    count = len(a) * (len(a) - 1)
    mmd2, error = total / count, np.sqrt(2 * squares / count / count)
    return {
        "mmd2": float(mmd2),
        "mmd2_error": float(error),
        "p_value": float(scipy.stats.norm.sf(mmd2 / error)) if error else 1.0,
    }


def marginal_ks(a, b) -> dict[str, np.ndarray]:
    """Return the two-sample Kolmogorov-Smirnov test of each column.

    Args:
      a: rows `[N, D]`.
      b: rows `[M, D]`.

    Returns:
      `statistic` `[D]` and `p_value` `[D]`.

    >>> marginal_ks([[0.0], [1.0]], [[5.0], [6.0]])["statistic"]
    array([1.])
    """
    a, b = _check_samples(a, b)
    results = [
        scipy.stats.ks_2samp(*x, method="asymp") for x in zip(a.T, b.T, strict=True)
    ]
    return {
        "statistic": np.array([result.statistic for result in results]),
        "p_value": np.array([result.pvalue for result in results]),
    }


def _check_samples(a, b):
    """Return both samples in float32, without what their columns have in common."""
    a, b = without_common_part(np.asarray(a), np.asarray(b))
    a, b = check_vectors(a, "samples"), check_vectors(b, "samples")
    check_same_dimensions(a, b, "the two samples")
    return a, b


def _equally_many(a, b, max_rows, seed):
    """Return the same number of rows of each sample, drawn without replacement."""
    a, b = _check_samples(a, b)
    count = min(len(a), len(b), max_rows)
    rng = np.random.default_rng(seed)
    return tuple(x[rng.choice(len(x), count, replace=False)] for x in (a, b))


def _square_distances(x, y):
    """Return squared distances `[N, M]` of rows `[N, D]` and `[M, D]`."""
    squares = (x**2).sum(1)[:, None] - 2 * x @ y.T + (y**2).sum(1)
    return np.maximum(squares, 0)


def _kernel(x, y, bandwidth):
    """Return the Gaussian kernel `[N, M]` of rows `[N, D]` and `[M, D]`."""
    return np.exp(_square_distances(x, y) / (-2 * bandwidth**2))
