"""Folds are evaluated at the best threshold of the others, as by brute force."""

import warnings

import numpy as np
import pytest

from nfml_jax.errors import UserError
from nfml_jax.evaluation import accept_rates, folds, verification


def example(pairs: int = 200, ties: bool = False, seed: int = 0):
    """Scores of pairs listed as LFW lists them: in each fold the genuine ones first."""
    rng = np.random.default_rng(seed)
    same = np.arange(pairs) % 20 < 10
    scores = rng.normal(0.5 * same, 0.4)
    return (scores.round(1) if ties else scores), same


@pytest.mark.parametrize("ties", [False, True])
def test_thresholds_are_the_best_of_the_other_folds(ties):
    scores, same = example(ties=ties)
    found = folds.cross_validate(scores, same)
    for f in range(10):
        here = np.arange(200) // 20 == f
        s, y = scores[~here], same[~here]
        best = max(np.mean((s >= t) == y) for t in [*s, np.inf])
        assert np.mean((s >= found.thresholds[f]) == y) == pytest.approx(best)
        accuracy = np.mean((scores[here] >= found.thresholds[f]) == same[here])
        assert found.accuracies[f] == pytest.approx(accuracy)
    assert found.accuracy == pytest.approx(found.accuracies.mean())
    error = np.sqrt(np.var(found.accuracies) / 9)
    assert found.accuracy_error == pytest.approx(error)


def test_the_order_of_pairs_does_not_matter_when_folds_are_given():
    scores, same = example()
    order = np.random.default_rng(1).permutation(200)
    listed = folds.cross_validate(scores, same)
    shuffled = folds.cross_validate(
        scores[order], same[order].astype(int), np.arange(200)[order] // 20
    )
    np.testing.assert_array_equal(listed.accuracies, shuffled.accuracies)
    np.testing.assert_array_equal(listed.thresholds, shuffled.thresholds)


def test_metrics_are_those_of_the_folds_and_of_all_pairs():
    scores, same = example(pairs=4000)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = folds.metrics(scores, same)
    curve = accept_rates.roc(scores[same], scores[~same])
    assert found["eer"] == curve.eer and found["auc"] == curve.auc
    assert found["tar@far=1e-3"] == curve.tar_at_far(1e-3)
    crossed = folds.cross_validate(scores, same)
    assert found["accuracy"] == crossed.accuracy
    assert found["accuracy_error"] == crossed.accuracy_error
    assert found["threshold"] == pytest.approx(crossed.thresholds.mean())
    assert all(type(value) is float for value in found.values())
    with pytest.warns(UserWarning, match="not measurable with 100 impostor pairs"):
        folds.metrics(scores[:200], same[:200])


def test_false_rejects_over_false_accepts_are_the_det_curve():
    genuine, impostor = np.array([0.1, 0.5, 0.9]), np.array([0.0, 0.5])
    curve = accept_rates.roc(genuine, impostor)
    for far, frr, t in zip(curve.far, curve.frr, curve.thresholds, strict=True):
        assert far == pytest.approx(np.mean(impostor >= t))
        assert frr == pytest.approx(np.mean(genuine < t))


def test_index_pairs_are_pairs_of_rows(monkeypatch):
    rng = np.random.default_rng(0)
    x, pairs = rng.normal(size=(9, 4)), rng.integers(0, 9, (50, 2))
    expected = verification.pair_scores(x[pairs[:, 0]], x[pairs[:, 1]])
    monkeypatch.setattr(folds, "TILE", 7)
    np.testing.assert_array_equal(folds.index_pair_scores(x, pairs), expected)


def test_flip_averages_are_those_of_the_mirror_image():
    images = np.random.default_rng(0).normal(size=(5, 4, 4, 1)).astype(np.float32)

    def embed(x):
        return x[:, 1, :, 0]

    found = folds.flip_averaged(embed, images)
    np.testing.assert_allclose(found, found[:, ::-1])
    np.testing.assert_allclose(found[:, 0], images[:, 1, [0, 3], 0].mean(axis=1))


SCORES, SAME = example(40)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: folds.cross_validate(SCORES[:39], SAME), "one of each"),
        (lambda: folds.cross_validate(SCORES, SAME + 1), "true and false"),
        (lambda: folds.cross_validate(SCORES * np.nan, SAME, 2), "NaN"),
        (lambda: folds.cross_validate(SCORES, SAME, 7), "40 pairs don't make 7"),
        (lambda: folds.cross_validate(SCORES, SAME, 1), "from 2"),
        (lambda: folds.cross_validate(SCORES, SAME, 4), "fold 0 are genuine"),
        (lambda: folds.cross_validate(SCORES, SAME, [0] * 40), "one fold"),
        (lambda: folds.cross_validate(SCORES, SAME, [0] * 9), "folds have shape"),
        (lambda: folds.index_pair_scores(np.eye(3), [[0, 3]]), "0 to 3"),
        (lambda: folds.index_pair_scores(np.eye(3), [0, 1]), "pairs, 2"),
        (lambda: folds.flip_averaged(np.asarray, np.eye(3)), "N, H, W, C"),
    ],
)
def test_bad_input_is_named(call, says):
    with pytest.raises(UserError, match=says):
        call()
