"""Top-k and kNN equal brute force and scikit-learn, ties included, for any chunk."""

import tracemalloc

import jax
import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier

from nfml_jax.errors import UserError
from nfml_jax.evaluation import neighbors, similarities, verification

CHUNKS = [3, 8, 1000]


def sets(seed: int = 0):
    """Training and test embeddings of five overlapping classes, of odd counts."""
    rng = np.random.default_rng(seed)
    centers = rng.normal(size=(5, 6))
    for n in (211, 97):
        labels = rng.integers(0, 5, n)
        yield (centers[labels] + rng.normal(size=(n, 6))).astype(np.float32), labels


def similarity(queries, gallery, metric: str) -> np.ndarray:
    q, g = np.float64(queries), np.float64(gallery)
    if metric == "cosine":
        norms = [np.linalg.norm(x, axis=1) for x in (q, g)]
        return q @ g.T / np.outer(*norms)
    return -np.sum((q[:, None] - g[None]) ** 2, axis=-1)


@pytest.mark.parametrize("metric", similarities.SIMILARITIES)
@pytest.mark.parametrize("chunk", CHUNKS)
def test_top_k_is_a_stable_sort_of_all_similarities(metric, chunk):
    (gallery, _), (queries, _) = sets()
    expected = similarity(queries, gallery, metric)
    order = np.argsort(-expected, axis=1, kind="stable")[:, :9]
    scores, indices = neighbors.top_k(queries, gallery, 9, metric, chunk)
    np.testing.assert_array_equal(indices, order)
    np.testing.assert_allclose(
        scores, np.take_along_axis(expected, order, axis=1), atol=1e-5
    )


@pytest.mark.parametrize("metric", similarities.SIMILARITIES)
@pytest.mark.parametrize("chunk", CHUNKS)
def test_equal_similarities_are_ranked_by_index(metric, chunk):
    # Norms are equal, inner products exact and the mean zero: both metrics often tie.
    rng = np.random.default_rng(0)
    half, queries = rng.choice([-1.0, 1.0], (90, 16)), rng.choice([-1.0, 1.0], (31, 16))
    gallery = np.concatenate([half, -half])
    order = np.argsort(-(queries @ gallery.T), axis=1, kind="stable")
    _, indices = neighbors.top_k(queries, gallery, 20, metric, chunk)
    np.testing.assert_array_equal(indices, order[:, :20])


def test_k_may_be_the_number_of_rows():
    (gallery, _), (queries, _) = sets()
    _, indices = neighbors.top_k(queries, gallery, len(gallery), chunk=3)
    np.testing.assert_array_equal(
        np.sort(indices, axis=1), np.tile(np.arange(len(gallery)), (len(queries), 1))
    )


def test_euclidean_neighbors_far_from_the_origin_are_separated():
    (gallery, _), (queries, _) = sets()
    near = neighbors.top_k(queries, gallery, 5, "euclidean")[1]
    far = neighbors.top_k(queries + 1024, gallery + 1024, 5, "euclidean")[1]
    assert np.mean(near == far) > 0.99  # the shift itself rounds in float32


@pytest.mark.parametrize("k", [1, 2, 5, 12])
@pytest.mark.parametrize("metric", similarities.SIMILARITIES)
def test_knn_equals_scikit_learn_where_the_majority_is_unique(metric, k):
    (train, train_labels), (test, test_labels) = sets()
    peer = KNeighborsClassifier(k, metric=metric, algorithm="brute")
    peer.fit(train, train_labels)
    shares = np.sort(peer.predict_proba(test), axis=1)
    unique = shares[:, -1] > shares[:, -2]
    assert unique.sum() > 20
    assert neighbors.knn_accuracy(
        train, train_labels, test[unique], test_labels[unique], k, metric, chunk=16
    ) == pytest.approx(peer.score(test[unique], test_labels[unique]), abs=1e-12)


def test_a_tied_vote_goes_to_the_nearest_neighbor_among_the_tied():
    labels = np.array(
        [[3, 1, 1, 3, 0], [0, 2, 1, 1, 2], [4, 3, 2, 1, 0], [5, 6, 6, 6, 5]]
    )
    np.testing.assert_array_equal(neighbors.vote(labels), [3, 2, 4, 6])


def test_one_nearest_neighbor_is_right_on_the_training_set():
    (train, labels), _ = sets()
    assert neighbors.knn_accuracy(train, labels, train, labels, k=1) == 1


@pytest.mark.parametrize("law", ["top_k", "all_pairs"])
def test_the_largest_array_is_a_tile(law, monkeypatch):
    """At N = 4,000 a compiled step needs a few tiles, the host less."""
    n, chunk = 4000, 128
    rng = np.random.default_rng(0)
    embeddings, labels = rng.normal(size=(n, 4)), rng.integers(0, 3, n)
    module, name, run = {
        "top_k": (
            neighbors,
            "_merge",
            lambda: neighbors.top_k(embeddings, embeddings, 3, chunk=chunk),
        ),
        "all_pairs": (
            verification,
            "count_tile",
            lambda: verification.all_pairs(embeddings, labels, 256, chunk),
        ),
    }[law]
    step, tiles = getattr(module, name), []

    def watched(*args):
        if not tiles:
            memory = step.lower(*args).compile().memory_analysis()
            tiles.append(memory.temp_size_in_bytes + memory.output_size_in_bytes)
        sizes = [np.size(leaf) for leaf in jax.tree.leaves(args)]
        assert max(sizes) <= chunk * chunk
        return step(*args)

    monkeypatch.setattr(module, name, watched)
    tracemalloc.start()
    run()
    _, host = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert 0 < tiles[0] < 16 * 4 * chunk * chunk < 4 * n * n / 50
    assert host < n * n  # bytes: less than one N × N array of booleans


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: neighbors.top_k(np.eye(3), np.eye(3), 4), "k is 4; expected 1 to"),
        (lambda: neighbors.top_k(np.eye(3), np.eye(3), 0), "k is 0"),
        (lambda: neighbors.top_k(np.eye(3), np.eye(3), 1, "cos"), "cosine, euclidean"),
        (lambda: neighbors.top_k(np.eye(3), np.eye(4), 1), "3 .* 4"),
        (lambda: neighbors.top_k(np.full((1, 2), np.inf), np.eye(2), 1), "queries"),
        (lambda: neighbors.top_k(np.zeros((0, 2)), np.eye(2), 1), "empty"),
        (
            lambda: neighbors.knn_accuracy(np.eye(6), [0, 1], np.eye(6), [0] * 6),
            "labels",
        ),
    ],
)
def test_bad_input_is_named(call, says):
    with pytest.raises(UserError, match=says):
        call()


def far_clusters(dtype=np.float32):
    """Queries and a gallery of clusters far apart, and which row is nearest to each."""
    rng = np.random.default_rng(0)
    ends = np.array([[-1e5, 0, 0], [1e5, 0, 1e4]])
    gallery = ends[np.arange(40) % 2] + rng.integers(0, 9, (40, 3))
    queries = ends[np.arange(12) % 2] + rng.integers(0, 9, (12, 3)) + 0.25
    return queries.astype(dtype), gallery.astype(dtype)


@pytest.mark.parametrize("size", [1e-25, 1.0, 1e18])
def test_neighbors_in_far_clusters_are_exact(size):
    queries, gallery = far_clusters()
    queries, gallery = queries * np.float32(size), gallery * np.float32(size)
    exact = similarity(queries, gallery, "euclidean")
    order = np.argsort(-exact, axis=1, kind="stable")
    scores, found = neighbors.top_k(queries, gallery, 6, "euclidean")
    best = np.take_along_axis(exact, order, axis=1)[:, :6]
    # Float32 has steps of 0.008 where the clusters are.
    np.testing.assert_allclose(scores, best, rtol=0.01)
    np.testing.assert_allclose(np.take_along_axis(exact, found, 1), best, rtol=0.01)


@pytest.mark.parametrize("metric", similarities.SIMILARITIES)
@pytest.mark.parametrize("chunk", CHUNKS)
def test_equal_rows_are_equally_similar_and_come_in_their_order(metric, chunk):
    rng = np.random.default_rng(0)
    few, queries = rng.normal(size=(5, 33)), rng.normal(size=(3, 33))
    which = rng.integers(0, 5, 150)
    scores, found = neighbors.top_k(queries, few[which], 70, metric, chunk)
    exact = similarity(queries, few, metric)[:, which]
    expected = np.argsort(-exact, axis=1, kind="stable")[:, :70]
    np.testing.assert_array_equal(found, expected)
    for row, rows in zip(scores, which[found], strict=True):
        assert len(np.unique(row)) == len(np.unique(rows))


@pytest.mark.parametrize("metric", similarities.SIMILARITIES)
def test_a_large_common_part_of_float64_is_subtracted_first(metric):
    rng = np.random.default_rng(0)
    queries, gallery = rng.normal(size=(5, 8)), rng.normal(size=(50, 8))
    expected = similarity(queries + 1e6, gallery + 1e6, "euclidean")
    if metric == "cosine":  # of unit vectors, without rounding 1 - cosine
        q, g = (x + 1e6 for x in (queries, gallery))
        q, g = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (q, g))
        expected = similarity(q, g, "euclidean")
    found = neighbors.top_k(queries + 1e6, gallery + 1e6, 10, metric)[1]
    np.testing.assert_array_equal(found, np.argsort(-expected, axis=1)[:, :10])
