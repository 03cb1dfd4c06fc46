"""Tests of whether means over runs differ by more than the spread of the runs.

Welch, "The generalization of 'Student's' problem when several different population
variances are involved", Biometrika 34, 1947.
"""

from collections.abc import Callable, Sequence

import numpy as np

LEVEL = 0.05


def welch(a: Sequence[float], b: Sequence[float]) -> float | None:
    """Return the two-sided p-value of samples `[N]` and `[M]` having one mean.

    Their variances may differ. The result is None if a sample has fewer than two
    numbers or a non-finite one; if neither sample varies, it is 1 for equal samples and
    else 0.
    """
    if min(len(a), len(b)) < 2 or not np.isfinite([*a, *b]).all():
        return None
    errors = [np.var(x, ddof=1) / len(x) for x in (a, b)]
    difference = abs(np.mean(a) - np.mean(b))
    if not sum(errors):
        return float(difference == 0)
    from scipy import special  # slow to import

    freedom = sum(errors) ** 2 / sum(
        e**2 / (len(x) - 1) for e, x in zip(errors, (a, b), strict=True)
    )
    # Both tails of Student's t.
    return float(2 * special.stdtr(freedom, -difference / sum(errors) ** 0.5))


def even_with_best(samples: Sequence[Sequence[float]], choose: Callable) -> list[bool]:
    """Return for each sample whether `welch` cannot separate its mean from the best.

    `choose` is min or max, whichever is better. The result is False for the best sample
    itself and for samples that cannot be tested.
    """
    means = [np.mean(values) if len(values) else np.nan for values in samples]
    finite = [mean for mean in means if np.isfinite(mean)]
    if not finite:
        return [False] * len(samples)
    best = means.index(choose(finite))
    tested = [welch(values, samples[best]) for values in samples]
    return [p is not None and p >= LEVEL and i != best for i, p in enumerate(tested)]
