"""Costs of log-likelihood ratios are their definition's, the least scikit-learn's."""

import numpy as np
import pytest
from sklearn.isotonic import IsotonicRegression

from nfml_jax.errors import UserError
from nfml_jax.evaluation import llr


def scores(ties: bool = False):
    rng = np.random.default_rng(0)
    genuine, impostor = rng.normal(1, 1, 90), rng.normal(-1, 1, 311)
    return (genuine.round(), impostor.round()) if ties else (genuine, impostor)


def test_the_cost_is_that_of_the_definition():
    genuine, impostor = scores()
    expected = (
        np.log2(1 + np.exp(-genuine)).mean() + np.log2(1 + np.exp(impostor)).mean()
    )
    assert llr.cllr(genuine, impostor) == pytest.approx(expected / 2)
    assert llr.cllr([0.0], [0.0, 0.0]) == pytest.approx(1)
    assert llr.cllr([np.inf], [-np.inf]) == 0
    assert llr.cllr([-np.inf], [-1.0]) == np.inf
    assert llr.cllr([1000.0], [-1000.0]) == 0


@pytest.mark.parametrize("ties", [False, True])
def test_the_least_cost_is_that_of_isotonic_regression(ties):
    genuine, impostor = scores(ties)
    both, same = np.concatenate([genuine, impostor]), np.repeat([1, 0], [90, 311])
    share = IsotonicRegression().fit(both, same).predict(both)
    with np.errstate(divide="ignore"):
        expected = np.log(share / (1 - share)) - np.log(90 / 311)
    found = llr.best_llrs(genuine, impostor)
    np.testing.assert_allclose(np.concatenate(found), expected, atol=1e-9)
    least = llr.min_cllr(genuine, impostor)
    assert least == pytest.approx(llr.cllr(expected[:90], expected[90:]))
    # No rising map of the scores makes them cost less, and their scale is no matter.
    assert all(
        least <= llr.cllr(a * genuine + b, a * impostor + b)
        for a in (0.5, 1, 2, 3)
        for b in (-1, 0, 1)
    )
    assert llr.min_cllr(9 * genuine + 1, 9 * impostor + 1) == pytest.approx(least)


def test_metrics_split_the_cost_into_what_calibration_could_save_and_the_rest():
    genuine, impostor = scores()
    found = llr.metrics(2 * genuine, 2 * impostor)
    assert found["cllr"] == pytest.approx(llr.cllr(2 * genuine, 2 * impostor))
    parts = found["min_cllr"] + found["calibration_cllr"]
    assert parts == pytest.approx(found["cllr"])
    assert llr.metrics([5.0, 6.0], [1.0, 2.0])["min_cllr"] == 0
    assert llr.metrics([1.0, 2.0], [5.0, 6.0])["min_cllr"] == pytest.approx(1)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: llr.cllr([], [1.0]), "0 of 0 genuine"),
        (lambda: llr.cllr([1.0], [np.nan, 1.0]), "1 of 2 impostor"),
        (lambda: llr.min_cllr([1.0], [np.nan]), "NaN"),
        (lambda: llr.min_cllr([1.0], []), "no impostor pair"),
    ],
)
def test_bad_input_is_named(call, says):
    with pytest.raises(UserError, match=says):
        call()
