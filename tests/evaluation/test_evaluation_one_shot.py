"""Episodes are drawn uniformly and classified by the nearest prototype."""

import numpy as np
import pytest

from nfml_jax.errors import UserError
from nfml_jax.evaluation import neighbors, one_shot, similarities


def example(classes: int = 8, noise: float = 1.0):
    rng = np.random.default_rng(0)
    labels = rng.permutation(np.repeat(np.arange(classes) * 3 - 5, 6))
    centers = rng.normal(size=(classes, 10))
    x = centers[(labels + 5) // 3] + noise * rng.normal(size=(len(labels), 10))
    return (x * rng.uniform(0.5, 2, (len(x), 1))).astype(np.float32), labels


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("metric", similarities.SIMILARITIES)
def test_episodes_equal_a_loop_over_them(metric, normalize, monkeypatch):
    """The same draws, one episode at a time in float64."""
    monkeypatch.setattr(one_shot, "EPISODES", 50)
    x, labels = example()
    ways, shots, queries, count = 4, 2, 3, 50
    found = one_shot.episodes(
        x, labels, ways, shots, queries, count, metric=metric, normalize=normalize
    )
    rng = np.random.default_rng(0)
    classes = np.unique(labels)
    drawn = rng.random((count, len(classes))).argsort(axis=1)[:, :ways]
    rows = one_shot._without_replacement(rng, np.full((count, ways), 6), 5)

    def units(x):
        return x / np.linalg.norm(x, axis=-1, keepdims=True)

    x = units(np.float64(x)) if normalize else np.float64(x)
    accuracies = []
    for episode, numbers in zip(drawn, rows, strict=True):
        groups = [
            x[np.flatnonzero(labels == classes[c])[n]]
            for c, n in zip(episode, numbers, strict=True)
        ]
        prototypes = np.stack([group[:shots].mean(axis=0) for group in groups])
        right = []
        for way, group in enumerate(groups):
            for query in group[shots:]:
                if metric == "cosine":
                    similarity = units(prototypes) @ units(query)
                else:
                    similarity = -np.sum((prototypes - query) ** 2, axis=1)
                right.append(similarity.argmax() == way)
        accuracies.append(np.mean(right))
    assert found["accuracy"] == pytest.approx(np.mean(accuracies))
    error = np.std(accuracies, ddof=1) / np.sqrt(count)
    assert found["accuracy_ci95"] == pytest.approx(1.96 * error, rel=1e-4)


def test_the_same_seed_gives_the_same_episodes_and_another_others():
    x, labels = example()
    few = [one_shot.episodes(x, labels, 5, 1, 5, 60, seed=s) for s in (0, 0, 1)]
    assert few[0] == few[1] != few[2]
    sure = one_shot.episodes(*example(noise=1e-3), 5, 1, 5, 60)
    assert sure == {"accuracy": 1.0, "accuracy_ci95": 0.0}


def test_draws_are_distinct_and_uniform():
    sizes = np.tile([3, 4, 9], (20_000, 1))
    drawn = one_shot._without_replacement(np.random.default_rng(0), sizes, 3)
    assert (drawn >= 0).all() and (drawn < sizes[..., None]).all()
    ordered = np.sort(drawn, axis=-1)
    assert (np.diff(ordered, axis=-1) > 0).all()
    for column, size in enumerate((3, 4, 9)):
        for place in range(3):
            share = np.bincount(drawn[:, column, place], minlength=size) / len(drawn)
            np.testing.assert_allclose(share, 1 / size, atol=0.015)


def test_random_embeddings_have_an_accuracy_of_one_over_ways():
    rng = np.random.default_rng(1)
    x, labels = rng.normal(size=(600, 4)), np.arange(600) % 30
    found = one_shot.episodes(x, labels, 10, 5, 15, 400)
    assert found["accuracy"] == pytest.approx(0.1, abs=0.02)
    assert 0 < found["accuracy_ci95"] < 0.02


@pytest.mark.parametrize("metric", similarities.SIMILARITIES)
def test_runs_equal_a_nearest_neighbor_search_in_each(metric):
    x, labels = example()
    given = [(x[i::4], labels[i::4], x[:9], labels[:9]) for i in range(4)]
    expected = [
        neighbors.knn_accuracy(s, sl, q, ql, 1, metric) for s, sl, q, ql in given
    ]
    found = one_shot.runs(given, metric=metric)
    assert found["accuracy"] == pytest.approx(np.mean(expected))
    assert found["accuracy_error"] == pytest.approx(np.std(expected, ddof=1) / 2)
    assert one_shot.runs(given[:1], metric=metric)["accuracy_error"] == 0


X, LABELS = np.eye(6), np.arange(6) // 3


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (
            lambda: one_shot.episodes(X, LABELS, 3, 1, 1),
            "ways is 3; expected at most 2",
        ),
        (lambda: one_shot.episodes(X, LABELS, 2, 2, 2), "class 0 has 3 examples"),
        (lambda: one_shot.episodes(X, LABELS, 1, 1, 1), "ways is 1"),
        (lambda: one_shot.episodes(X, LABELS, 2, 0, 1), "shots is 0"),
        (lambda: one_shot.episodes(X, LABELS, 2, 1, 0), "queries is 0"),
        (lambda: one_shot.episodes(X, LABELS, 2, 1, 1, 1), "count is 1"),
        (lambda: one_shot.episodes(X, LABELS[:5], 2, 1, 1), "labels of embeddings"),
        (lambda: one_shot.episodes(X + np.inf, LABELS, 2, 1, 1), "not finite"),
        (lambda: one_shot.episodes(X, LABELS, 2, 1, 1, metric="l2"), "euclidean"),
        (lambda: one_shot.runs([]), "list of runs is empty"),
        (lambda: one_shot.runs([(X, LABELS, X[:, :2], LABELS)]), "dimensions"),
        (lambda: one_shot.runs([(X, LABELS, X, LABELS[:2])]), "labels of queries"),
    ],
)
def test_bad_input_is_named(call, says):
    with pytest.raises(UserError, match=says):
        call()


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("common", [0.0, 1000.0, 1e7])
def test_a_common_part_of_all_rows_does_not_hide_classes(metric, common):
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(6), 8)
    x = rng.normal(size=(6, 16))[labels] + 0.01 * rng.normal(size=(48, 16)) + common
    options = {"metric": metric, "normalize": metric == "cosine"}
    found = one_shot.episodes(x, labels, 5, 2, 3, 20, **options)
    assert found["accuracy"] == 1
    if metric == "euclidean":
        large = one_shot.episodes(x * 1e20, labels, 5, 2, 3, 20, **options)
        assert large["accuracy"] == 1
    support, rest = np.arange(48) % 8 == 0, np.arange(48) % 8 > 0
    run = x[support], labels[support], x[rest], labels[rest]
    assert one_shot.runs([run], metric=metric)["accuracy"] == 1
