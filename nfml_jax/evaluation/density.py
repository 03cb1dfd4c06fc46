"""How well a density fits: likelihoods, two-sample tests, calibration and coverage.

On plain arrays; every estimate comes with its standard error or p-value where it has
one. Test samples against fresh data, not against the rows a model was trained on.
"""

import numpy as np
import scipy  # which imports its parts when they are used: some take a second

from nfml_jax.errors import UserError
from nfml_jax.evaluation.arrays import (
    TILE,
    check_same_dimensions,
    check_vectors,
    without_common_part,
)

LEVELS = (0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)
"""Probabilities of the regions whose coverage is reported."""


def negative_log_likelihood(log_probs) -> dict[str, float]:
    """`nll`, the mean of -log p `[N]` in nats, and `nll_error`, its standard error.

    Infinite if any point has density 0. UserError for NaN or no points.
    """
    mean, error = _mean_and_error(-_check_log_probs(log_probs))
    return {"nll": mean, "nll_error": error}


def kl_divergence(log_p, log_q) -> dict[str, float]:
    """`kl` = KL(p ‖ q) in nats and `kl_error`, from both at the same draws of p `[N]`.

    The estimate may come out below 0, by its standard error.
    """
    log_p, log_q = _check_log_probs(log_p), _check_log_probs(log_q)
    if log_p.shape != log_q.shape:
        raise UserError(
            f"log-densities have shapes {log_p.shape} and {log_q.shape}; expected both "
            "at the same points."
        )
    if np.isinf(log_p).any():
        raise UserError(
            f"{np.isinf(log_p).sum()} of {len(log_p)} points have density 0 under the "
            "density they should be drawn from; check that the units are the same."
        )
    mean, error = _mean_and_error(log_p - log_q)
    return {"kl": mean, "kl_error": error}


def classifier_two_sample_test(
    a, b, *, folds: int = 5, max_rows: int = 2000, seed: int = 0, classifier=None
) -> dict[str, float]:
    """Can a classifier tell the samples `a` and `b` `[N, D]` apart?

    Lopez-Paz and Oquab (ICLR 2017): `accuracy` over cross-validation, ½ if they cannot
    be told apart; `accuracy_error`, its standard error; `p_value` of so high an
    accuracy by chance. At most `max_rows` of each are used, as many of one as of the
    other. The classifier, any of scikit-learn's, is by default a network of two hidden
    layers of 64 on standardised columns.
    """
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from threadpoolctl import threadpool_limits  # scikit-learn's own

    a, b = _equally_many(a, b, max_rows, seed)
    if len(a) < 2 * folds:
        raise UserError(
            f"two-sample test of {len(a)} rows each; expected at least {2 * folds}, "
            f"twice the {folds} folds."
        )
    if classifier is None:
        network = MLPClassifier(
            (64, 64), max_iter=200, early_stopping=True, random_state=seed
        )
        classifier = make_pipeline(StandardScaler(), network)
    x, y = np.concatenate([a, b]), np.repeat([0, 1], len(a))
    parts = StratifiedKFold(folds, shuffle=True, random_state=seed)
    # Its products are too small to share: on busy cores threads waited for one another
    # for fifteen times as long as one takes alone.
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
    """Squared MMD of samples `a` and `b` `[N, D]` under exp(-‖x-y‖² / 2 bandwidth²).

    Gretton et al. (JMLR 2012): `mmd2`, unbiased, so below 0 at times (equation 3);
    `mmd2_error`, its standard deviation if the two are alike; `p_value` of so large a
    value then. The bandwidth is the median distance between points unless given. At
    most `max_rows` of each are used, in tiles of 1024 × 1024.
    """
    a, b = (x.astype(np.float64) for x in _equally_many(a, b, max_rows, seed))
    if len(a) < 2:
        raise UserError("the MMD of one row each is not defined; give it two or more.")
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
    """Two-sample Kolmogorov-Smirnov `statistic` and `p_value` of each column, `[D]`."""
    a, b = _check_samples(a, b)
    results = [
        scipy.stats.ks_2samp(*x, method="asymp") for x in zip(a.T, b.T, strict=True)
    ]
    return {
        "statistic": np.array([result.statistic for result in results]),
        "p_value": np.array([result.pvalue for result in results]),
    }


def normal_pit(z) -> np.ndarray:
    """Probability integral transform of standard normal coordinates, Φ(z)."""
    return scipy.special.ndtr(np.asarray(z, np.float64))


def pit_calibration(pit, bins: int = 20) -> dict[str, np.ndarray]:
    """Are probability integral transforms `[N, D]` uniform, as they should be?

    Of data taken back to a normal base they are `normal_pit(z)`. For each column:
    `statistic` and `p_value` of a Kolmogorov-Smirnov test, `error`, the mean over
    levels u of |P(pit ≤ u) - u|, and `histogram [D, bins]`, 1 where calibrated.
    """
    pit = check_vectors(np.reshape(pit, (len(pit), -1)), "transforms").astype(float)
    if pit.min() < 0 or pit.max() > 1:
        raise UserError(
            f"transforms range from {pit.min():g} to {pit.max():g}; expected values of "
            "a distribution function, such as normal_pit(z)."
        )
    tests = [scipy.stats.kstest(column, "uniform") for column in pit.T]
    # Between sorted values the distribution function is constant: integrate exactly.
    ends = np.pad(np.sort(pit, axis=0), [(1, 1), (0, 0)])
    ends[-1] = 1
    share = np.linspace(0, 1, len(pit) + 1)[:, None]
    area = [np.abs(u - share) * (u - share) / 2 for u in (ends[:-1], ends[1:])]
    counts = [np.histogram(column, bins, (0, 1))[0] for column in pit.T]
    return {
        "statistic": np.array([test.statistic for test in tests]),
        "p_value": np.array([test.pvalue for test in tests]),
        "error": (area[1] - area[0]).sum(axis=0),
        "histogram": np.array(counts) * bins / len(pit),
    }


def coverage(data_log_probs, sample_log_probs, levels=LEVELS) -> dict[str, np.ndarray]:
    """The share of data in the model's highest-density regions of given probability.

    The region of level α is where the density is above its 1 - α quantile over the
    model's own samples (Hyndman 1996); overconfident models cover less than α of the
    data with it. Log-densities `[N]` of data and `[M]` of samples give `level`,
    `coverage`, and its standard `error`, from both, if the model is right.
    """
    data, samples = map(_check_log_probs, (data_log_probs, sample_log_probs))
    levels = np.asarray(levels, np.float64)
    if not ((levels > 0) & (levels < 1)).all():
        raise UserError(f"levels are {levels.tolist()}; expected them between 0 and 1.")
    thresholds = np.quantile(samples, 1 - levels, method="inverted_cdf")
    above = len(data) - np.searchsorted(np.sort(data), thresholds, side="left")
    error = np.sqrt(levels * (1 - levels) * (1 / len(data) + 1 / len(samples)))
    return {"level": levels, "coverage": above / len(data), "error": error}


def _mean_and_error(values):
    """The mean of `[N]` and its standard error, NaN where one value or ∞ gives none."""
    mean = values.mean()
    if len(values) < 2 or not np.isfinite(mean):
        return float(mean), float("nan")
    return float(mean), float(values.std(ddof=1) / np.sqrt(len(values)))


def _check_log_probs(log_probs):
    log_probs = np.asarray(log_probs, np.float64)
    if log_probs.ndim != 1 or not len(log_probs):
        raise UserError(
            f"log-densities have shape {log_probs.shape}; expected one for each of at "
            "least one point."
        )
    bad = np.count_nonzero(np.isnan(log_probs) | (log_probs == np.inf))
    if bad:
        raise UserError(
            f"{bad} of {len(log_probs)} log-densities are NaN or +∞; the training has "
            "probably diverged, so evaluate an earlier checkpoint or lower the "
            "learning rate."
        )
    return log_probs


def _check_samples(a, b):
    a, b = without_common_part(np.asarray(a), np.asarray(b))
    a, b = check_vectors(a, "samples"), check_vectors(b, "samples")
    check_same_dimensions(a, b, "the two samples")
    return a, b


def _equally_many(a, b, max_rows, seed):
    """As many rows of each sample, drawn without replacement."""
    a, b = _check_samples(a, b)
    count = min(len(a), len(b), max_rows)
    rng = np.random.default_rng(seed)
    return tuple(x[rng.choice(len(x), count, replace=False)] for x in (a, b))


def _square_distances(x, y):
    squares = (x**2).sum(1)[:, None] - 2 * x @ y.T + (y**2).sum(1)
    return np.maximum(squares, 0)


def _kernel(x, y, bandwidth):
    return np.exp(_square_distances(x, y) / (-2 * bandwidth**2))
