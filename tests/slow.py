"""Marks of the cases that one of their kind stands for in each run of the tests."""

import pytest


def slow_but(cases, fast):
    """Return `cases` as parameters of a test, all slow but those in `fast`.

    A name in `fast` that is no case is a mistake.
    """
    cases = list(cases)
    assert set(fast) <= set(cases), set(fast) - set(cases)
    return [
        case if case in fast else pytest.param(case, marks=pytest.mark.slow)
        for case in cases
    ]


def slow(cases, names):
    """Return `cases` as parameters of a test, of which `names` are slow."""
    cases = list(cases)
    assert set(names) <= set(cases), set(names) - set(cases)
    return slow_but(cases, [case for case in cases if case not in names])
