"""The fit of a density: likelihood, KL divergence, calibration and coverage.

Every estimate comes with its standard error or a p-value where it has one.
"""

import numpy as np
import scipy  # imports its slow parts on first use

from nfml_jax.errors import UserError
from nfml_jax.evaluation.inputs import check_vectors

LEVELS = (0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)
"""The default probabilities of the regions of `coverage`."""


def negative_log_likelihood(log_probs) -> dict[str, float]:
    """Return the negative log-likelihood in nats and its standard error.

    Args:
      log_probs: log-densities `[N]`.

    Returns:
      `nll`, the mean of -log p, infinite if any point has density 0;
      `nll_error`, its standard error.

    Raises:
      UserError: for NaN, or no points.

    >>> negative_log_likelihood([-1.0, -2.0, -3.0])["nll"]
    2.0
    """
    mean, error = _mean_and_error(-_check_log_probs(log_probs))
    return {"nll": mean, "nll_error": error}


def kl_divergence(log_p, log_q) -> dict[str, float]:
    """Return an estimate of KL(p ‖ q) in nats and its standard error.

    The estimate may be below 0 by its standard error.

    Args:
      log_p: log-densities `[N]` under p at draws from p.
      log_q: log-densities `[N]` under q at the same draws.

    Returns:
      `kl`, the mean of log p - log q, and `kl_error`, its standard error.

    Raises:
      UserError: for other shapes, NaN, or a density p of 0.

    >>> kl_divergence([-1.0, -1.0], [-1.5, -2.5])["kl"]
    1.0
    """
    log_p, log_q = _check_log_probs(log_p), _check_log_probs(log_q)
    if log_p.shape != log_q.shape:
        raise UserError(
            f"log-densities have shapes {log_p.shape} and {log_q.shape}; expected "
            "both at the same points."
        )
    if np.isinf(log_p).any():
        raise UserError(
            f"{np.isinf(log_p).sum()} of {len(log_p)} points have density 0 under the "
            "density they should be drawn from; check that the units are the same."
        )
    mean, error = _mean_and_error(log_p - log_q)
    return {"kl": mean, "kl_error": error}


def normal_pit(z) -> np.ndarray:
    """Return the probability integral transform Φ(z) of standard normal coordinates.

    >>> normal_pit([0.0, 1.96]).round(3)
    array([0.5  , 0.975])
    """
    return scipy.special.ndtr(np.asarray(z, np.float64))


def pit_calibration(pit, bins: int = 20) -> dict[str, np.ndarray]:
    """Return tests of whether probability integral transforms are uniform.

    For data that a flow maps to a normal base they are `normal_pit(z)`, and uniform if
    the flow is right.

    Args:
      pit: transforms `[N, D]` or `[N]`, in [0, 1].
      bins: the number of bins of the histogram.

    Returns:
      `statistic` `[D]` and `p_value` `[D]` of a Kolmogorov-Smirnov test of each column;
      `error` `[D]`, the mean over levels u of |P(pit ≤ u) - u|;
      `histogram` `[D, bins]`, which is 1 where calibrated.

    Raises:
      UserError: for values outside [0, 1].

    >>> pit_calibration(np.full(3, 0.5))["error"]
    array([0.25])
    """
    pit = check_vectors(np.reshape(pit, (len(pit), -1)), "transforms").astype(float)
    if pit.min() < 0 or pit.max() > 1:
        raise UserError(
            f"transforms range from {pit.min():g} to {pit.max():g}; expected values of "
            "a distribution function, such as normal_pit(z)."
        )
    tests = [scipy.stats.kstest(column, "uniform") for column in pit.T]
    # The distribution function is constant between sorted values: integrate exactly.
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
    """Return the share of data in the model's highest-density regions.

    The region of level α is where the density exceeds its 1 - α quantile over samples
    of the model (Hyndman 1996). An overconfident model covers less than α of the data.

    Args:
      data_log_probs: the model's log-densities `[N]` of data.
      sample_log_probs: the model's log-densities `[M]` of its own samples.
      levels: probabilities of the regions, in (0, 1).

    Returns:
      `level`; `coverage`, the share of data in each region; and `error`, its standard
        error from both counts if the model is right.

    Raises:
      UserError: for levels outside (0, 1), or log-densities that are NaN.

    >>> samples = np.arange(10.0)
    >>> coverage([9.0, 3.0], samples, levels=[0.5])["coverage"]
    array([0.5])
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
    """Return the mean of values `[N]` and its standard error.

    The error is NaN for a single value and for an infinite mean.
    """
    mean = values.mean()
    if len(values) < 2 or not np.isfinite(mean):
        return float(mean), float("nan")
    return float(mean), float(values.std(ddof=1) / np.sqrt(len(values)))


def _check_log_probs(log_probs):
    """Return log-densities `[N]` in float64; raise UserError for NaN and +∞."""
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
