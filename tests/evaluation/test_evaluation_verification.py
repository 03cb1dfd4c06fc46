"""Histograms of all pairs equal brute force, ties included."""

import numpy as np
import pytest

from nfml_jax.errors import UserError
from nfml_jax.evaluation import verification as v
from nfml_jax.evaluation.accept_rates import roc


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
def test_histogram_metrics_are_exact_up_to_the_width_of_bins(chunk):
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


def test_metrics_are_those_of_the_roc_at_the_threshold():
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


def test_the_threshold_is_chosen_on_reproducible_examples():
    embeddings, labels = gaussian_set()
    every = v.choose_threshold(embeddings, labels)
    assert every == v.all_pairs(embeddings, labels).roc().best_threshold()
    some = [v.choose_threshold(embeddings, labels, 80, seed) for seed in (0, 0, 1)]
    assert some[0] == some[1] != some[2]
    curve = roc(*brute_force(embeddings, labels))
    assert curve.accuracy_at(every) >= curve.accuracy_at(some[0]) - 1e-3


@pytest.mark.parametrize("labels", [[], [0], [0, 0], [0, 1], [0, 1, 1], [2, 1, 2, 0]])
def test_has_pairs_says_whether_a_roc_exists(labels):
    embeddings = np.eye(len(labels), 8)
    try:
        v.all_pairs(embeddings, labels).roc()
        made = True
    except UserError:
        made = False
    assert v.has_pairs(labels) == made


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: v.all_pairs(np.zeros((0, 3)), np.zeros(0, int)), "empty"),
        (lambda: v.all_pairs([[1.0], [np.nan]], [0, 0]), "1 of 2"),
        (lambda: v.all_pairs(np.eye(3), [0, 1, 2]).roc(), "no genuine pair"),
        (lambda: v.all_pairs(np.eye(3), [1, 1, 1]).roc(), "no impostor pair"),
        (lambda: v.all_pairs(np.eye(3), [0, 1]), "labels"),
        (lambda: v.all_pairs(np.eye(3), [0, 1, 1], bins=1000), "power of two"),
        (lambda: v.pair_scores(np.eye(2), np.eye(3)), "equal"),
        (lambda: v.all_pairs(np.eye(3), [0, 1, 2**32]), "of 32 bits: renumber"),
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
def test_nearly_equal_cosines_are_separated(kind):
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


@pytest.mark.parametrize("classmates", [2, 40])
def test_rare_genuine_pairs_are_drawn_to_choose_a_threshold(classmates):
    labels = np.arange(3000)
    labels[-classmates:] = labels[-1]
    x = np.random.default_rng(0).normal(size=(len(labels), 16))
    x[-classmates:] = x[-1] + 0.01 * x[-classmates:]
    for seed in range(2):
        assert v.choose_threshold(x, labels, 100, seed) > 0.5
