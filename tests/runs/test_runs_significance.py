"""Welch's test against cases by hand, and the mark of means that it cannot separate."""

import math

import numpy as np
import pytest

from nfml_jax import runs as results
from nfml_jax.runs.formats import FORMATS
from nfml_jax.runs.significance import even_with_best, welch


@pytest.mark.parametrize(
    ("a", "b", "p"),
    [
        # Variances 2 and 2: t² = 3² / 2, and of two degrees 1 - |t| / √(2 + t²).
        ([0, 2], [3, 5], 1 - math.sqrt(4.5 / 6.5)),
        # Variances 2 and 0: t = 2 of one degree, Cauchy's.
        ([0, 2], [3, 3], 1 - 2 / math.pi * math.atan(2)),
        # Variances 1 and 1 of three: t² = 13.5 of four degrees.
        ([1, 2, 3], [4, 5, 6], 1 - 0.75 * math.sqrt(13.5 / 4.375) * (1 - 13.5 / 52.5)),
        ([1, 2, 3], [1, 2, 3], 1),
        ([5, 5], [5, 5, 5], 1),
        ([5, 5], [6, 6], 0),
    ],
)
def test_welch_by_hand(a, b, p):
    assert welch(a, b) == pytest.approx(p)
    assert welch(b, a) == pytest.approx(p)


def test_samples_without_a_test_have_none():
    for a in ([], [1.0], [1.0, math.nan], [1.0, math.inf]):
        assert welch(a, [1.0, 2.0]) is None


def test_welch_errs_at_its_level():
    rng = np.random.default_rng(0)
    p = [welch(rng.normal(size=5), 3 * rng.normal(size=4)) for _ in range(2000)]
    assert np.mean(np.array(p) < 0.05) == pytest.approx(0.05, abs=0.02)


def test_only_the_worse_is_even_with_the_best():
    samples = [[1, 2, 3], [4, 5, 6], [3, 4, 5], [9], [], [math.nan, 1]]
    assert even_with_best(samples[:3], max) == [False, False, True]
    assert even_with_best(samples[:3], min) == [False, False, True]
    # The best was run once: nothing can be said.
    assert even_with_best(samples, max) == [False] * 6
    assert even_with_best([[], []], max) == [False, False]


def test_tables_say_what_is_not_significant():
    def record(name, accuracy, seed, data="mnist"):
        return {
            "name": name,
            "seed": seed,
            "config": {"seed": seed},
            "data": {"name": data},
            "metrics": {"test/accuracy": accuracy},
            "status": "done",
        }

    found = {"far": (0.1, 0.2, 0.3), "best": (0.4, 0.5, 0.6), "near": (0.3, 0.4, 0.5)}
    records = [record(n, a, i) for n, of in found.items() for i, a in enumerate(of)]
    made = results.table(records, ["test/accuracy"])
    assert [cells[0].even for _, cells in made.rows] == [False, False, True]
    text = FORMATS["md"](made)
    assert "40.00% ± 24.84% ≈ |" in text and text.endswith("not tested).")
    for name, sign in {"tex": r"$\approx$", "html": "≈"}.items():
        assert sign in FORMATS[name](made)
    assert results.table(records[:6], ["test/accuracy"]).note == ""
    others = [r | {"data": {"name": d}} for d in ("x", "y") for r in records[3:]]
    grid = results.grid(records + others, "test/accuracy")
    assert [[cell.even for cell in cells] for _, cells in grid.rows] == [
        [False] * 3,
        [False] * 3,
        [True] * 3,
    ]
