"""ROC and all-pairs histograms equal scikit-learn and brute force, ties included."""

import warnings

import numpy as np
import pytest
from sklearn import metrics

from nfml_jax.errors import UserError
from nfml_jax.evaluation import verification as v
from nfml_jax.evaluation.accept_rates import roc


def scores(ties: bool, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    genuine, impostor = rng.normal(0.5, 0.4, 200), rng.normal(0, 0.4, 331)
    return (genuine.round(1), impostor.round(1)) if ties else (genuine, impostor)


def brute_force(embeddings, labels) -> tuple[np.ndarray, np.ndarray]:
    """The cosines of all genuine and of all impostor pairs, in float64."""
    x = np.asarray(embeddings, np.float64)
    x = x / np.linalg.norm(x, axis=1, keepdims=True)
    i, j = np.triu_indices(len(x), 1)
    cosines = np.sum(x[i] * x[j], axis=1)
    same = labels[i] == labels[j]
    return cosines[same], cosines[~same]


def dyadic_set(n: int = 131) -> tuple[np.ndarray, np.ndarray]:
    """Vectors whose cosines are multiples of 1/8, exactly, so that many tie."""
    rng = np.random.default_rng(1)
    return rng.choice([-1.0, 1.0], (n, 16)), rng.integers(0, 4, n)


def gaussian_set(n: int = 150) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(2)
    labels = rng.integers(0, 5, n)
    centers = rng.normal(size=(5, 8))
    return (centers[labels] + rng.normal(size=(n, 8))).astype(np.float32), labels


@pytest.mark.parametrize("ties", [False, True])
def test_roc_is_scikit_learns(ties):
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
def test_rates_are_the_shares_of_scores_at_or_above_the_threshold(ties):
    genuine, impostor = scores(ties)
    curve = roc(genuine, impostor)
    for threshold in [-9.0, *curve.thresholds[::7], 0.1, 0.05, 9.0]:
        balanced = (np.mean(genuine >= threshold) + np.mean(impostor < threshold)) / 2
        assert curve.accuracy_at(threshold) == pytest.approx(balanced, rel=1e-14)


@pytest.mark.parametrize("ties", [False, True])
def test_tar_at_far_is_the_best_threshold_that_keeps_the_far(ties):
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


def test_the_threshold_of_useless_scores_is_finite():
    assert np.isfinite(roc([0.5], [0.5, 0.5]).best_threshold())
    assert np.isfinite(roc([0.1], [0.9]).best_threshold())


def test_pair_scores_are_cosines_at_any_length():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 9, 4)).astype(np.float32)
    cosines = np.sum(a * b, 1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    for scale in (1, 1e-30, 1e30):
        np.testing.assert_allclose(v.pair_scores(scale * a, b), cosines, atol=3e-7)
    assert v.pair_scores(np.zeros((1, 3)), np.ones((1, 3))) == 0


@pytest.mark.parametrize("chunk", [1, 32, 131, 1000])
def test_all_pairs_counts_exactly_with_ties_for_any_chunk(chunk):
    embeddings, labels = dyadic_set()
    histograms = v.all_pairs(embeddings, labels, bins=16, chunk=chunk)
    for counts, cosines in zip(
        (histograms.genuine, histograms.impostor),
        brute_force(embeddings, labels),
        strict=True,
    ):
        np.testing.assert_array_equal(
            counts, np.histogram(cosines, bins=histograms.edges)[0]
        )


def test_a_cosine_on_an_edge_is_accepted_at_that_edge():
    embeddings, labels = dyadic_set()
    exact = roc(*brute_force(embeddings, labels))
    binned = v.all_pairs(embeddings, labels).roc()
    np.testing.assert_array_equal(binned.genuine, exact.genuine)
    np.testing.assert_array_equal(binned.impostor, exact.impostor)
    inside = exact.thresholds < 1  # a cosine of 1 belongs to the last bin
    np.testing.assert_array_equal(binned.thresholds[inside], exact.thresholds[inside])


@pytest.mark.parametrize("chunk", [64, 75])
def test_histogram_metrics_are_the_exact_ones_up_to_the_bins(chunk):
    embeddings, labels = gaussian_set()
    exact = roc(*brute_force(embeddings, labels))
    histograms = v.all_pairs(embeddings, labels, chunk=chunk)
    binned = histograms.roc()
    assert histograms.genuine.sum() == exact.genuine[-1]
    assert histograms.impostor.sum() == exact.impostor[-1]
    assert binned.auc == pytest.approx(exact.auc, abs=1e-4)
    assert binned.eer == pytest.approx(exact.eer, abs=1e-3)
    assert binned.tar_at_far(0.01) == pytest.approx(exact.tar_at_far(0.01), abs=2e-3)
    assert binned.accuracy_at(0.3) == pytest.approx(exact.accuracy_at(0.3), abs=1e-3)


def test_the_metrics_are_the_rocs_at_the_threshold_given():
    embeddings, labels = gaussian_set()
    curve = v.all_pairs(embeddings, labels).roc()
    result = v.metrics(curve, threshold=0.25)
    assert result == {
        "eer": curve.eer,
        "auc": curve.auc,
        "tar@far=1e-2": curve.tar_at_far(1e-2),
        "tar@far=1e-3": curve.tar_at_far(1e-3),
        "accuracy": curve.accuracy_at(0.25),
    }
    assert all(type(value) is float for value in result.values())


def test_the_threshold_is_chosen_on_a_reproducible_share_of_the_examples():
    embeddings, labels = gaussian_set()
    every = v.choose_threshold(embeddings, labels)
    assert every == v.all_pairs(embeddings, labels).roc().best_threshold()
    some = [v.choose_threshold(embeddings, labels, 80, seed) for seed in (0, 0, 1)]
    assert some[0] == some[1] != some[2]
    curve = roc(*brute_force(embeddings, labels))
    assert curve.accuracy_at(every) >= curve.accuracy_at(some[0]) - 1e-3


@pytest.mark.parametrize("labels", [[], [0], [0, 0], [0, 1], [0, 1, 1], [2, 1, 2, 0]])
def test_pairs_are_there_when_a_roc_can_be_made(labels):
    embeddings = np.eye(len(labels), 8)
    try:
        v.all_pairs(embeddings, labels).roc()
        made = True
    except UserError:
        made = False
    assert v.has_pairs(labels) == made


def test_too_few_impostors_for_a_far_are_warned_of():
    with pytest.warns(UserWarning, match="not measurable with 4 impostor pairs"):
        assert roc([1, 2], [0, 0, 0, 5]).tar_at_far(1e-3) == 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        roc([1, 2], np.zeros(1000)).tar_at_far(1e-3)
        roc([1, 2], np.zeros(49)).tar_at_far(1 / 49)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: v.all_pairs(np.zeros((0, 3)), np.zeros(0, int)), "empty"),
        (lambda: v.all_pairs([[1.0], [np.nan]], [0, 0]), "1 of 2"),
        (lambda: v.all_pairs(np.eye(3), [0, 1, 2]).roc(), "no genuine pair"),
        (lambda: v.all_pairs(np.eye(3), [1, 1, 1]).roc(), "no impostor pair"),
        (lambda: v.all_pairs(np.eye(3), [0, 1]), "labels"),
        (lambda: v.all_pairs(np.eye(3), [0, 1, 1], bins=1000), "power of two"),
        (lambda: roc([np.nan], [0.5]), "NaN"),
        (lambda: v.pair_scores(np.eye(2), np.eye(3)), "equal"),
        (lambda: roc([1], [0]).tar_at_far(0), "TAR at FAR 0: expected a rate above"),
        (lambda: roc([1], [0]).tar_at_far(1.5), "at most 1"),
        (lambda: v.all_pairs(np.eye(3), [0, 1, 2**32]), "of 32 bits: number .* anew"),
    ],
)
def test_bad_input_is_named(call, says):
    with pytest.raises(UserError, match=says):
        call()


def crowded_set(kind: str) -> tuple[np.ndarray, np.ndarray]:
    """Five classes that are well apart, in directions that are nearly one or two."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(5), 8)
    x = rng.normal(size=(5, 16))[labels] + 0.01 * rng.normal(size=(40, 16))
    if kind == "two bundles":
        return x + 1000 * np.where(labels % 2, -1, 1)[:, None], labels
    if kind == "an outlier":
        x = np.concatenate([x + 1000, -np.ones((1, 16))])
        return x, np.append(labels, 5)
    return x + (1e6 if kind == "float64" else 1000), labels


@pytest.mark.parametrize("kind", ["one bundle", "float64", "two bundles", "an outlier"])
def test_cosines_close_together_are_told_apart(kind):
    x, labels = crowded_set(kind)
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    i, j = np.triu_indices(len(x), 1)
    apart, same = ((unit[i] - unit[j]) ** 2).sum(axis=1) / 2, labels[i] == labels[j]
    exact, found = roc(-apart[same], -apart[~same]), v.all_pairs(x, labels)
    curve = found.roc()
    assert curve.auc == pytest.approx(exact.auc, abs=1e-4) and exact.auc > 0.99
    assert (np.diff(found.edges) >= 0).all()
    assert len(found.edges) == len(found.genuine) + 1
    # A threshold is a cosine: it decides the pairs as the counts say.
    threshold = curve.best_threshold()
    assert curve.accuracy_at(threshold) == 1
    scores = v.pair_scores(x[i], x[j])
    listed = roc(scores[same], scores[~same])
    if kind != "two bundles":  # of which most cosines are far from 1
        assert listed.accuracy_at(threshold) == 1


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


@pytest.mark.parametrize("classmates", [2, 40])
def test_rare_genuine_pairs_are_among_those_that_choose_a_threshold(classmates):
    labels = np.arange(3000)
    labels[-classmates:] = labels[-1]
    x = np.random.default_rng(0).normal(size=(len(labels), 16))
    x[-classmates:] = x[-1] + 0.01 * x[-classmates:]
    for seed in range(2):
        assert v.choose_threshold(x, labels, 100, seed) > 0.5


def test_scores_that_are_no_numbers_are_refused():
    for wrong in (["0.5"], [None], [1j], [np.nan]):
        with pytest.raises(UserError, match=r"NaN|numbers"):
            roc(wrong, [0.5])
    with pytest.raises(UserError, match="threshold is NaN"):
        roc([1.0], [0.0]).accuracy_at(np.nan)
