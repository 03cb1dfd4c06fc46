"""L."""

import numpy as np
import scipy  # which imports its parts when they are used: some take a second

from nfml_jax.errors import UserError
from nfml_jax.evaluation.inputs import check_vectors

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
