"""The comparison with peers, on small arrays; the peers themselves are run by hand."""

import sys

import numpy as np
import pytest

from nfml_jax.errors import UserError
from tests.peers import __main__ as program
from tests.peers import comparison as c


def fails():
    raise ValueError("no such option\nmore")


OURS = {"a": lambda: {"value": 1.0, "row": [1.0, np.nan, np.inf]}, "b": fails}
THEIRS = {
    "a": lambda: {"value": 1.1, "row": [1.0 + 1e-5, np.nan, np.inf]},
    "b": lambda: {"value": 2.0},
    "c": lambda: {"value": 3.0},
}


def outcomes(explained=()):
    found = c.compare(c.measure(OURS), c.measure(THEIRS), dict(explained))
    return {one.case: one for one in found}


def test_each_case_is_equal_different_or_failed():
    found = outcomes()
    kinds = {case: one.kind for case, one in found.items()}
    assert kinds == {
        "b": c.FAILED,
        "a, value": c.DIFFERENT,
        "a, row": c.EQUAL,
        "c, value": c.FAILED,
    }
    assert str(found["b"]) == "FAILED: b: ours, ValueError: no such option"
    assert str(found["a, value"]) == "DIFFERENT: a, value: ours 1, theirs 1.1"
    assert str(found["c, value"]) == "FAILED: c, value: only theirs has it"
    assert c.wrong(found.values())


def test_a_reason_is_stated_and_one_that_explains_nothing_is_found():
    reasons = {"a, v*": "By definition.", "c, *": "It is new."}
    found = outcomes(reasons)
    assert found["a, value"].kind == c.EXPLAINED
    assert str(found["a, value"]).endswith("theirs 1.1. By definition.")
    assert found["c, value"].kind == c.FAILED  # no reason excuses what failed
    assert c.needless(found.values(), reasons) == ["c, *"]
    assert not c.wrong([found["a, value"], found["a, row"]])


def test_a_difference_names_its_place():
    zeros = np.zeros((2, 3))
    other = zeros.copy()
    other[1, 2] = 1e-3
    assert c.difference(zeros, other) == "ours 0, theirs 0.001 at [1, 2]"
    assert c.difference(zeros, zeros[0]) == "shapes [2, 3] and [3]"
    assert c.difference(np.array(np.nan), np.array(0.0)) == "ours nan, theirs 0"
    # Rounding is measured by the largest entry.
    assert c.difference(np.array([1e6, 1.0]), np.array([1e6, 0.0])) is None


def test_the_summary_counts_each_kind():
    lines = c.summary({"zoo 1.0": list(outcomes().values())}).splitlines()
    assert lines[2:] == [
        "| zoo 1.0 | 4 | 1 | 0 | 1 | 2 |",
        "| all | 4 | 1 | 0 | 1 | 2 |",
    ]


def test_an_interpreter_without_the_peer_is_a_sentence():
    with pytest.raises(UserError, match=r"No module named 'tests\.peers\.lions'"):
        program.run_theirs("lions", sys.executable)
