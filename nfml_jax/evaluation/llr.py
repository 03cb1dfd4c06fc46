"""Verification by log-likelihood ratios: are they right, and how right could they be?

Brümmer and du Preez, "Application-Independent Evaluation of Speaker Detection",
Computer Speech and Language 2006. A log-likelihood ratio (LLR) is log p(pair | one
class) - log p(pair | two), in nats; a score is anything that rises with it.
"""

import numpy as np
import scipy
from scipy.special import logsumexp

from nfml_jax.errors import UserError
from nfml_jax.evaluation.accept_rates import roc
from nfml_jax.evaluation.inputs import check_scores


def cllr(genuine_llrs, impostor_llrs) -> float:
    """The cost of LLRs, in bits: 0 when sure and right, 1 when they say nothing.

    ½ mean log₂(1 + e^-llr) over genuine pairs [G] + ½ mean log₂(1 + e^llr) over
    impostor pairs [I]. Infinite for one sure and wrong. UserError when one of
    them is empty or holds a NaN.
    """
    genuine, impostor = _numbers(genuine_llrs, impostor_llrs, "LLRs")
    costs = np.logaddexp(0, -genuine).mean(), np.logaddexp(0, impostor).mean()
    return float(np.mean(costs) / np.log(2))


def best_llrs(genuine_scores, impostor_scores) -> tuple[np.ndarray, np.ndarray]:
    """The LLRs of genuine [G] and impostor [I] scores that cost the least, in order.

    Of all maps that never fall as the score rises (pool adjacent violators), the best
    for these very scores: a bound, not a calibration. May be infinite; equal scores get
    equal LLRs. Errors of `verification.roc`.
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
    """`cllr` of `best_llrs`, in bits: what a perfect calibration would leave."""
    return cllr(*best_llrs(genuine_scores, impostor_scores))


def from_posteriors(log_posterior_a, log_posterior_b, prior) -> np.ndarray:
    """The LLR [P] that two are of one class, from log p(class | x) [P, K] of each.

    log Σ_k p(k|a) p(k|b) - log Σ_{k≠l} p(k|a) p(l|b), less the prior odds of a pair of
    one class, for independent a and b of the known classes with their `prior` [K].
    """
    a, b = (np.asarray(x, np.float64) for x in (log_posterior_a, log_posterior_b))
    prior = np.asarray(prior, np.float64)
    same = np.asarray(logsumexp(a + b, axis=1))
    apart = [rest + a[:, k] for k, rest in enumerate(_without_each(b))]
    odds = np.sum(prior**2) / (1.0 - np.sum(prior**2))
    return same - np.asarray(logsumexp(apart, axis=0)) - np.log(odds)


def _without_each(b):
    """Yield log Σ_{l≠k} exp b [P, l] for each k of K columns, as [P]."""
    if b.shape[1] <= 64:
        for k in range(b.shape[1]):
            yield np.asarray(logsumexp(np.delete(b, k, axis=1), axis=1))
        return
    # From both ends, in time that is linear in the number of classes.
    none = np.full((len(b), 1), -np.inf)
    before = np.logaddexp.accumulate(np.hstack([none, b[:, :-1]]), axis=1)
    after = np.logaddexp.accumulate(np.hstack([none, b[:, :0:-1]]), axis=1)[:, ::-1]
    yield from np.logaddexp(before, after).T


def calibrate(genuine_to_fit, impostor_to_fit, genuine, impostor):
    """Scores as LLRs: a straight line that is logistic regression's on those to fit.

    All are scores [N] of pairs; gives the last two as LLRs. Of the pairs to fit either
    kind weighs the same. UserError when scores of a kind are missing or hold a NaN.
    """
    scores = _numbers(genuine, impostor, "scores")
    given = _numbers(genuine_to_fit, impostor_to_fit, "scores to fit")
    if not all(np.isfinite(s).all() for s in given):
        # Infinite scores count as much as the last finite ones.
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
    """`cllr`, `min_cllr`, and `calibration_cllr`, the first less the second."""
    actual = cllr(genuine_llrs, impostor_llrs)
    least = min_cllr(genuine_llrs, impostor_llrs)
    return {"cllr": actual, "min_cllr": least, "calibration_cllr": actual - least}


def _numbers(genuine, impostor, what: str) -> list[np.ndarray]:
    """Return both as float64 [N]; UserError for one that is empty or holds a NaN."""
    kinds = []
    for name, values in (("genuine", genuine), ("impostor", impostor)):
        values = np.ravel(check_scores(values, f"{name} {what}")).astype(np.float64)
        if not values.size:
            raise UserError(f"{name} {what} are empty; expected one or more numbers.")
        kinds.append(values)
    return kinds
