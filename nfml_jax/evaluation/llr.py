"""Verification by log-likelihood ratios: their cost, calibrated and as they are.

Brümmer and du Preez, "Application-Independent Evaluation of Speaker Detection",
Computer Speech and Language 2006. A log-likelihood ratio (LLR) is log p(pair | one
class) - log p(pair | two classes), in nats. A score is anything that rises with it.
"""

import numpy as np
import scipy
from scipy.special import logsumexp

from nfml_jax.errors import UserError
from nfml_jax.evaluation.accept_rates import roc
from nfml_jax.evaluation.inputs import check_scores


def cllr(genuine_llrs, impostor_llrs) -> float:
    """Return the cost of LLRs in bits: 0 if certain and right, 1 if uninformative.

    It is ½ mean log₂(1 + e^-llr) over genuine pairs plus ½ mean log₂(1 + e^llr) over
    impostor pairs. It is infinite for a pair that is certain and wrong.

    Args:
      genuine_llrs: LLRs in nats of genuine pairs.
      impostor_llrs: LLRs in nats of impostor pairs.

    Raises:
      UserError: if one of them is empty or contains NaN.

    >>> cllr([0.0], [0.0]), round(cllr([5.0], [-5.0]), 3)
    (1.0, 0.01)
    """
    genuine, impostor = _numbers(genuine_llrs, impostor_llrs, "LLRs")
    costs = np.logaddexp(0, -genuine).mean(), np.logaddexp(0, impostor).mean()
    return float(np.mean(costs) / np.log(2))


def best_llrs(genuine_scores, impostor_scores) -> tuple[np.ndarray, np.ndarray]:
    """Return the LLRs of least cost that rise with the scores.

    They are the best of all maps that never fall as the score rises, for these very
    scores (pool adjacent violators). So they are a bound, not a calibration. They may
    be infinite, and equal scores get equal LLRs.

    Args:
      genuine_scores: scores of genuine pairs `[G]`.
      impostor_scores: scores of impostor pairs `[I]`.

    Returns:
      LLRs in nats of genuine pairs `[G]` and of impostor pairs `[I]`.

    Raises:
      UserError: as `accept_rates.roc`.

    >>> best_llrs([0.9, 0.4], [0.5, 0.1])[0]
    array([inf,  0.])
    """
    scores = [np.ravel(s) for s in (genuine_scores, impostor_scores)]
    curve = roc(*scores)
    genuine, impostor = np.diff(curve.genuine)[::-1], np.diff(curve.impostor)[::-1]
    count = genuine + impostor
    share = scipy.optimize.isotonic_regression(genuine / count, weights=count).x
    with np.errstate(divide="ignore"):
        odds = np.log(share) - np.log1p(-share)
    llrs = odds - np.log(curve.genuine[-1] / curve.impostor[-1])
    ascending = curve.thresholds[:0:-1]
    return tuple(llrs[np.searchsorted(ascending, s)] for s in scores)


def min_cllr(genuine_scores, impostor_scores) -> float:
    """Return the `cllr` of `best_llrs` in bits: the cost after perfect calibration.

    >>> min_cllr([0.9, 0.8], [0.5, 0.1])
    0.0
    """
    return cllr(*best_llrs(genuine_scores, impostor_scores))


def from_posteriors(log_posterior_a, log_posterior_b, prior) -> np.ndarray:
    """Return the LLR `[P]` in nats that two examples are of one class.

    For independent examples a and b of the known classes it is log Σ_k p(k|a) p(k|b) -
    log Σ_{k≠l} p(k|a) p(l|b), less the prior odds of a pair of one class.

    Args:
      log_posterior_a: log p(class | a) `[P, K]`.
      log_posterior_b: log p(class | b) `[P, K]`.
      prior: the probability `[K]` of each class.

    >>> posterior = np.log([[0.9, 0.1]])
    >>> from_posteriors(posterior, posterior, [0.5, 0.5]).round(3)
    array([1.516])
    """
    a, b = (np.asarray(x, np.float64) for x in (log_posterior_a, log_posterior_b))
    prior = np.asarray(prior, np.float64)
    same = np.asarray(logsumexp(a + b, axis=1))
    apart = [rest + a[:, k] for k, rest in enumerate(_without_each(b))]
    odds = np.sum(prior**2) / (1.0 - np.sum(prior**2))
    return same - np.asarray(logsumexp(apart, axis=0)) - np.log(odds)


def _without_each(b):
    """Yield log Σ_{l≠k} exp b `[P]` for each column k of b `[P, K]`."""
    if b.shape[1] <= 64:
        for k in range(b.shape[1]):
            yield np.asarray(logsumexp(np.delete(b, k, axis=1), axis=1))
        return
    # Accumulate from both ends, in time that is linear in the number of classes.
    none = np.full((len(b), 1), -np.inf)
    before = np.logaddexp.accumulate(np.hstack([none, b[:, :-1]]), axis=1)
    after = np.logaddexp.accumulate(np.hstack([none, b[:, :0:-1]]), axis=1)[:, ::-1]
    yield from np.logaddexp(before, after).T


def calibrate(genuine_to_fit, impostor_to_fit, genuine, impostor):
    """Return scores as LLRs, by logistic regression on other scores.

    Genuine and impostor pairs have the same weight in the fit, which is a straight
    line.

    Args:
      genuine_to_fit: scores of genuine pairs that fit the line.
      impostor_to_fit: scores of impostor pairs that fit the line.
      genuine: scores of genuine pairs to calibrate `[G]`.
      impostor: scores of impostor pairs to calibrate `[I]`.

    Returns:
      LLRs in nats of genuine pairs `[G]` and of impostor pairs `[I]`.

    Raises:
      UserError: if scores are empty or contain NaN.

    >>> genuine, impostor = calibrate([0.9, 0.4, 0.8], [0.5, 0.1, 0.2], [0.9], [0.1])
    >>> bool(genuine[0] > 0 > impostor[0])
    True
    """
    scores = _numbers(genuine, impostor, "scores")
    given = _numbers(genuine_to_fit, impostor_to_fit, "scores to fit")
    if not all(np.isfinite(s).all() for s in given):
        # Infinite scores count like the extreme finite ones.
        finite = np.concatenate(given)
        finite = finite[np.isfinite(finite)]
        ends = (finite.min(), finite.max()) if finite.size else (-1.0, 1.0)
        given = [np.clip(s, *ends) for s in given]
    center, width = np.mean(given[0]), np.std(np.concatenate(given)) or 1.0

    def cost(line):
        up, down = ((line[0] * (s - center) / width + line[1]) for s in given)
        return np.mean(np.logaddexp(0, -up)) + np.mean(np.logaddexp(0, down))

    slope, offset = scipy.optimize.minimize(cost, np.array([1.0, 0.0])).x
    return [slope * (s - center) / width + offset for s in scores]


def metrics(genuine_llrs, impostor_llrs) -> dict[str, float]:
    """Return `cllr`, `min_cllr` and `calibration_cllr`, the difference of the two.

    All are in bits. Arguments and errors are those of `cllr`.

    >>> {name: round(value, 3) for name, value in metrics([5.0], [-5.0]).items()}
    {'cllr': 0.01, 'min_cllr': 0.0, 'calibration_cllr': 0.01}
    """
    actual = cllr(genuine_llrs, impostor_llrs)
    least = min_cllr(genuine_llrs, impostor_llrs)
    return {"cllr": actual, "min_cllr": least, "calibration_cllr": actual - least}


def _numbers(genuine, impostor, what: str) -> list[np.ndarray]:
    """Return both as float64 `[N]`.

    Raises:
      UserError: for one that is empty or contains NaN.
    """
    kinds = []
    for name, values in (("genuine", genuine), ("impostor", impostor)):
        values = np.ravel(check_scores(values, f"{name} {what}")).astype(np.float64)
        if not values.size:
            raise UserError(f"{name} {what} are empty; expected one or more numbers.")
        kinds.append(values)
    return kinds
