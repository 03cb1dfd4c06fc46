"""Whether means over runs differ by more than the runs' own spread.

Welch, "The generalization of 'Student's' problem when several different population
variances are involved", Biometrika 34, 1947.
"""

from collections.abc import Callable, Sequence

import numpy as np

LEVEL = 0.05


def welch(a: Sequence[float], b: Sequence[float]) -> float | None:
    """The p-value, two-sided, of two samples [N] and [M] having one mean.

    Their variances may differ. None where one has fewer than two numbers, or one that
    isn't finite; where neither varies, 1 if they are the same and else 0.
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
    # Of Student's t, both tails.
    return float(2 * special.stdtr(freedom, -difference / sum(errors) ** 0.5))


def even_with_best(samples: Sequence[Sequence[float]], choose: Callable) -> list[bool]:
    """Of each sample, whether its mean cannot be told from the best by `welch`.

    `choose` is min or max, whichever is better. The best itself is not meant, nor a
    sample that cannot be tested.
    """
    means = [np.mean(values) if len(values) else np.nan for values in samples]
    finite = [mean for mean in means if np.isfinite(mean)]
    if not finite:
        return [False] * len(samples)
    best = means.index(choose(finite))
    tested = [welch(values, samples[best]) for values in samples]
    return [p is not None and p >= LEVEL and i != best for i, p in enumerate(tested)]
