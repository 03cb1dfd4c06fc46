"""ROC, EER and thresholds equal scikit-learn and brute force, ties included."""

import warnings

import numpy as np
import pytest
from sklearn import metrics

from nfml_jax.errors import UserError
from nfml_jax.evaluation.accept_rates import roc


def scores(ties: bool, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    genuine, impostor = rng.normal(0.5, 0.4, 200), rng.normal(0, 0.4, 331)
    return (genuine.round(1), impostor.round(1)) if ties else (genuine, impostor)


@pytest.mark.parametrize("ties", [False, True])
def test_roc_equals_scikit_learn(ties):
    genuine, impostor = scores(ties)
    curve = roc(genuine, impostor)
    is_genuine = np.repeat([1, 0], [len(genuine), len(impostor)])
    both = np.concatenate([genuine, impostor])
    far, tar, thresholds = metrics.roc_curve(is_genuine, both, drop_intermediate=False)
    np.testing.assert_array_equal(curve.thresholds, thresholds)
    np.testing.assert_allclose(curve.far, far, rtol=1e-14)
    np.testing.assert_allclose(curve.tar, tar, rtol=1e-14)
    assert curve.auc == pytest.approx(
        metrics.roc_auc_score(is_genuine, both), rel=1e-12
    )


@pytest.mark.parametrize("ties", [False, True])
def test_rates_are_shares_of_scores_at_or_above_the_threshold(ties):
    genuine, impostor = scores(ties)
    curve = roc(genuine, impostor)
    for threshold in [-9.0, *curve.thresholds[::7], 0.1, 0.05, 9.0]:
        balanced = (np.mean(genuine >= threshold) + np.mean(impostor < threshold)) / 2
        assert curve.accuracy_at(threshold) == pytest.approx(balanced, rel=1e-14)


@pytest.mark.parametrize("ties", [False, True])
def test_tar_at_far_uses_the_lowest_threshold_within_the_far(ties):
    genuine, impostor = scores(ties)
    curve = roc(genuine, impostor)
    candidates = [np.inf, *genuine, *impostor]
    for far in (1 / 331, 0.01, 0.1, 0.5, 1.0):
        kept = [t for t in candidates if np.mean(impostor >= t) <= far]
        assert curve.tar_at_far(far) == max(np.mean(genuine >= t) for t in kept)
        assert curve.threshold_at_far(far) == min(kept)


@pytest.mark.parametrize("ties", [False, True])
def test_best_threshold_has_the_largest_accuracy_and_splits_the_gap(ties):
    genuine, impostor = scores(ties)
    curve = roc(genuine, impostor)
    best = curve.best_threshold()
    assert curve.accuracy_at(best) == max(map(curve.accuracy_at, curve.thresholds))
    assert best not in genuine
    assert best not in impostor


@pytest.mark.parametrize(
    ("genuine", "impostor", "eer"),
    [
        ([0.9, 0.8], [0.1, 0.2], 0.0),  # perfect
        ([0.1, 0.2], [0.9, 0.8], 1.0),  # reversed
        ([0.5, 0.5], [0.5, 0.5, 0.5], 0.5),  # constant: a coin
        ([4, 3, 1, 4], [0, 2, 0, 0], 0.25),  # one of four wrong on either side
        # No threshold has equal errors. Rates (FAR, 1 − TAR) go from (0, 1/2) to
        # (1/3, 0); the segment between meets the diagonal at 1/5.
        ([3, 1], [1, 0, 0], 0.2),
    ],
)
def test_eer_of_known_cases(genuine, impostor, eer):
    assert roc(genuine, impostor).eer == pytest.approx(eer, abs=1e-15)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("ties", [False, True])
def test_eer_lies_where_the_error_rates_cross(seed, ties):
    curve = roc(*scores(ties, seed))
    frr = 1 - curve.tar
    assert (
        np.minimum(curve.far, frr).max()
        <= curve.eer
        <= np.maximum(curve.far, frr).min()
    )


def test_perfect_scores_are_split_in_the_middle():
    curve = roc([0.8, 0.9], [0.1, 0.2])
    assert curve.auc == 1
    assert curve.best_threshold() == pytest.approx(0.5)
    assert curve.accuracy_at(0.5) == 1


def test_the_best_threshold_of_uninformative_scores_is_finite():
    assert np.isfinite(roc([0.5], [0.5, 0.5]).best_threshold())
    assert np.isfinite(roc([0.1], [0.9]).best_threshold())


def test_too_few_impostors_for_a_far_give_a_warning():
    with pytest.warns(UserWarning, match="not measurable with 4 impostor pairs"):
        assert roc([1, 2], [0, 0, 0, 5]).tar_at_far(1e-3) == 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        roc([1, 2], np.zeros(1000)).tar_at_far(1e-3)
        roc([1, 2], np.zeros(49)).tar_at_far(1 / 49)


@pytest.mark.parametrize(
    ("genuine", "impostor"),
    [
        ([np.inf, np.inf], [-np.inf]),
        ([3.0, np.inf], [-np.inf, -np.inf]),
        ([np.inf], [1.0, -np.inf]),
        ([1.0], [np.nextafter(1.0, 0)]),
        ([1e308], [0.9e308]),
    ],
)
def test_the_best_threshold_accepts_the_genuine_pairs_only(genuine, impostor):
    curve = roc(genuine, impostor)
    threshold = curve.best_threshold()
    assert min(genuine) >= threshold > max(impostor)
    assert curve.auc == curve.accuracy_at(threshold) == 1 and curve.eer == 0


def test_scores_that_are_not_numbers_are_refused():
    for wrong in (["0.5"], [None], [1j], [np.nan]):
        with pytest.raises(UserError, match=r"NaN|numbers"):
            roc(wrong, [0.5])
    with pytest.raises(UserError, match="threshold is NaN"):
        roc([1.0], [0.0]).accuracy_at(np.nan)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: roc([np.nan], [0.5]), "NaN"),
        (lambda: roc([1], [0]).tar_at_far(0), "TAR at FAR 0: expected a rate above"),
        (lambda: roc([1], [0]).tar_at_far(1.5), "at most 1"),
    ],
)
def test_bad_input_is_named(call, says):
    with pytest.raises(UserError, match=says):
        call()
