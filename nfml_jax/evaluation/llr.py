"""Verification by log-likelihood ratios: are they right, and how right could they be?

Brümmer and du Preez, "Application-Independent Evaluation of Speaker Detection",
Computer Speech and Language 2006. A log-likelihood ratio (LLR) is log p(pair | one
class) - log p(pair | two), in nats; a score is anything that rises with it.
"""

import numpy as np
from scipy import optimize

from nfml_jax.errors import UserError
from nfml_jax.evaluation.verification import roc


def cllr(genuine_llrs, impostor_llrs) -> float:
    """The cost of LLRs, in bits: 0 when sure and right, 1 when they say nothing.

    ½ mean log₂(1 + e^-llr) over genuine pairs [G] + ½ mean log₂(1 + e^llr) over
    impostor pairs [I]. Infinite for one sure and wrong. UserError when one of
    them is empty or holds a NaN.
    """
    costs = []
    for name, llrs, sign in (
        ("genuine", genuine_llrs, -1),
        ("impostor", impostor_llrs, 1),
    ):
        llrs = np.ravel(np.asarray(llrs, np.float64))
        if not llrs.size or np.isnan(llrs).any():
            raise UserError(
                f"{np.isnan(llrs).sum()} of {llrs.size} {name} LLRs are NaN; expected "
                "one or more numbers."
            )
        costs.append(np.logaddexp(0, sign * llrs).mean())
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
    share = optimize.isotonic_regression(genuine / count, weights=count).x
    with np.errstate(divide="ignore"):
        odds = np.log(share) - np.log1p(-share)
    llrs = odds - np.log(curve.genuine[-1] / curve.impostor[-1])
    ascending = curve.thresholds[:0:-1]
    return tuple(llrs[np.searchsorted(ascending, s)] for s in scores)


def min_cllr(genuine_scores, impostor_scores) -> float:
    """`cllr` of `best_llrs`, in bits: what a perfect calibration would leave."""
    return cllr(*best_llrs(genuine_scores, impostor_scores))


def metrics(genuine_llrs, impostor_llrs) -> dict[str, float]:
    """`cllr`, `min_cllr`, and `calibration_cllr`, the first less the second."""
    actual, least = (
        cllr(genuine_llrs, impostor_llrs),
        min_cllr(genuine_llrs, impostor_llrs),
    )
    return {"cllr": actual, "min_cllr": least, "calibration_cllr": actual - least}
