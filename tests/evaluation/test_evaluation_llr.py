"""Costs of log-likelihood ratios equal their definition and scikit-learn."""

import numpy as np
import pytest
from sklearn.isotonic import IsotonicRegression

from nfml_jax.errors import UserError
from nfml_jax.evaluation import llr


def scores(ties: bool = False):
    rng = np.random.default_rng(0)
    genuine, impostor = rng.normal(1, 1, 90), rng.normal(-1, 1, 311)
    return (genuine.round(), impostor.round()) if ties else (genuine, impostor)


def test_cllr_equals_its_definition():
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
def test_min_cllr_equals_that_of_isotonic_regression(ties):
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


def test_metrics_split_cllr_into_calibration_and_discrimination():
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
        (lambda: llr.cllr([], [1.0]), "genuine LLRs are empty"),
        (lambda: llr.cllr([1.0], [np.nan, 1.0]), "1 of 2 impostor"),
        (lambda: llr.min_cllr([1.0], [np.nan]), "NaN"),
        (lambda: llr.min_cllr([1.0], []), "no impostor pair"),
        (
            lambda: llr.calibrate([], [0.0], [1.0], [0.0]),
            "genuine scores to fit are empty",
        ),
        (lambda: llr.calibrate([1.0], [0.0], [1.0], [np.nan]), "impostor scores are"),
    ],
)
def test_bad_input_is_named(call, says):
    with pytest.raises(UserError, match=says):
        call()


def test_ratios_of_classes_follow_bayes_rule():
    rng = np.random.default_rng(1)
    prior = np.array([0.5, 0.3, 0.2])
    likelihood = rng.gamma(1, 1, (2, 40, 3))  # p(x | class) of both of each pair
    joint = likelihood * prior
    posterior = np.log(joint / joint.sum(axis=2, keepdims=True))
    together = joint[0][:, :, None] * joint[1][:, None, :]
    alike = np.eye(3, dtype=bool)
    odds = np.sum(prior**2) / (1 - np.sum(prior**2))
    expected = together[:, alike].sum(axis=1) / together[:, ~alike].sum(axis=1) / odds
    found = llr.from_posteriors(*posterior, prior)
    np.testing.assert_allclose(found, np.log(expected), rtol=1e-10)


def test_certain_posteriors_give_finite_ratios():
    sure = np.log([[1 - 2e-16, 1e-16, 1e-16]])
    assert np.isfinite(llr.from_posteriors(sure, sure, np.full(3, 1 / 3))).all()


def test_a_calibrated_score_is_the_ratio_of_its_densities():
    rng = np.random.default_rng(0)
    # Of normal scores one apart on either side of 4 the LLR is 2 (score - 4).
    draws = [rng.normal(center, 1, 20_000) for center in (5, 3, 5, 3)]
    for scores_, llrs in zip(draws[2:], llr.calibrate(*draws), strict=True):
        np.testing.assert_allclose(llrs, 2 * (scores_ - 4), atol=0.4)


def test_ratios_of_many_classes_equal_their_definition():
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.full(80, 0.1), (2, 5))
    prior = rng.dirichlet(np.ones(80))
    same = np.sum(p[0] * p[1], axis=1)
    odds = np.sum(prior**2) / (1 - np.sum(prior**2))
    expected = np.log(same) - np.log1p(-same) - np.log(odds)
    np.testing.assert_allclose(llr.from_posteriors(*np.log(p), prior), expected)


def test_infinite_scores_are_calibrated_as_certain():
    genuine, impostor = np.array([2.0, 3.0, np.inf]), np.array([-np.inf, 0.0, 2.5])
    found = llr.calibrate(genuine, impostor, genuine, impostor)
    assert found[0][2] == np.inf and found[1][0] == -np.inf
    assert np.isfinite(found[0][:2]).all()
    assert np.isfinite(llr.min_cllr(genuine, impostor))
