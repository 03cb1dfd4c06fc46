"""Measures equal scikit-learn's, and k-means finds separate clusters."""

import numpy as np
import pytest
from sklearn import metrics as theirs
from sklearn.cluster import KMeans

from nfml_jax.errors import UserError
from nfml_jax.evaluation import clustering, kmeans

RNG = np.random.default_rng(0)
CLUSTERINGS = {
    "random": (RNG.integers(0, 7, 200), RNG.integers(-3, 4, 200)),
    "alike": (RNG.integers(0, 4, 90).repeat(2), RNG.integers(0, 4, 90).repeat(2) // 2),
    "the same": (np.arange(60) % 4, 9 - np.arange(60) % 4),
    "one cluster": (np.zeros(30, int), np.arange(30) % 3),
    "one of each": (np.zeros(30, int), np.ones(30, int)),
    "all alone": (np.arange(20), np.arange(20)),
    "alone in one class": (np.arange(20), np.zeros(20, int)),
    "big and small": (np.arange(300) // 200, np.arange(300) // 3),
    "one example": (np.array([3]), np.array([0])),
}


@pytest.mark.parametrize("name", CLUSTERINGS)
def test_measures_equal_scikit_learn(name):
    clusters, labels = CLUSTERINGS[name]
    found = clustering.compare(clusters, labels)
    assert all(type(value) is float for value in found.values())
    expected = {
        "nmi": theirs.normalized_mutual_info_score(labels, clusters),
        "ami": theirs.adjusted_mutual_info_score(labels, clusters),
        "ari": theirs.adjusted_rand_score(labels, clusters),
    }
    table = theirs.cluster.contingency_matrix(labels, clusters)
    expected["purity"] = table.max(axis=0).sum() / table.sum()
    (_, fp), (fn, tp) = theirs.cluster.pair_confusion_matrix(labels, clusters)
    expected["f1"] = 2 * tp / max(2 * tp + fp + fn, 1)
    assert found == pytest.approx(expected, abs=1e-10)


def blobs(n: int = 300, k: int = 6):
    rng = np.random.default_rng(1)
    labels = np.arange(n) % k
    return (9 * np.eye(k)[labels] + rng.normal(size=(n, k))).astype(np.float32), labels


def test_kmeans_converges_to_means_of_nearest_rows(monkeypatch):
    x, labels = blobs()
    monkeypatch.setattr(kmeans, "SCORES", 500)
    found = kmeans.kmeans(x, 6)
    assert found.converged
    assert clustering.compare(found.clusters, labels)["ari"] == pytest.approx(1)
    means = np.stack([x[found.clusters == c].mean(axis=0) for c in range(6)])
    np.testing.assert_allclose(found.centers, means, atol=1e-4)
    distances = np.linalg.norm(x[:, None] - found.centers, axis=-1)
    np.testing.assert_array_equal(found.clusters, distances.argmin(axis=1))
    assert found.inertia == pytest.approx(np.sum(distances.min(axis=1) ** 2), rel=1e-5)
    peer = KMeans(6, init=found.centers, n_init=1).fit(x)
    assert found.inertia == pytest.approx(peer.inertia_, rel=1e-5)

    again, other = kmeans.kmeans(x, 6), kmeans.kmeans(x, 6, seed=1)
    np.testing.assert_array_equal(again.clusters, found.clusters)
    np.testing.assert_array_equal(again.centers, found.centers)
    assert (other.clusters != found.clusters).any()
    assert clustering.metrics(x, labels)["nmi"] == pytest.approx(1)


def test_an_empty_cluster_restarts_at_the_farthest_row(monkeypatch):
    x, _ = blobs()
    at_one_place = lambda x, k, key: np.tile(x[:1], (k, 1))  # noqa: E731
    monkeypatch.setattr(kmeans, "_plus_plus", at_one_place)
    monkeypatch.setattr(kmeans, "SCORES", 500)
    found = kmeans.kmeans(x, 6)
    assert found.converged and len(np.unique(found.clusters)) == 6


def test_fewer_distinct_rows_than_clusters_can_be_clustered():
    found = kmeans.kmeans(np.repeat(np.eye(2, 6), 150, axis=0), 6)
    assert found.inertia == pytest.approx(0, abs=1e-9) and found.converged
    assert (found.clusters[:150] != found.clusters[150:]).all()
    stopped = kmeans.kmeans(blobs()[0], 6, iterations=1)
    assert stopped.iterations == 1


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: kmeans.kmeans(np.eye(3), 4), "k is 4; expected 1 to 3"),
        (lambda: kmeans.kmeans(np.eye(3), 0), "k is 0"),
        (lambda: kmeans.kmeans(np.eye(3), 2, iterations=0), "iterations are 0"),
        (lambda: kmeans.kmeans(np.eye(3) * np.nan, 2), "not finite"),
        (lambda: clustering.compare([0, 1], [0, 1, 2]), "labels"),
        (lambda: clustering.compare([0.5, 1], [0, 1]), "clusters have shape"),
        (lambda: clustering.compare(np.zeros(0, int), np.zeros(0, int)), "empty"),
        (lambda: clustering.metrics(np.eye(3), [0, 1]), "labels"),
    ],
)
def test_bad_input_is_named(call, says):
    with pytest.raises(UserError, match=says):
        call()


@pytest.mark.parametrize("place", ["far", "common", "large", "small"])
def test_clusters_are_found_wherever_the_rows_lie(place):
    """Two groups far apart, of three tight clusters each."""
    rng = np.random.default_rng(0)
    labels = np.arange(120) % 6
    rows = np.stack([20.0 * (labels % 3), np.zeros(120)], axis=1)
    rows += rng.integers(0, 3, rows.shape)
    if place == "far":
        rows[labels > 2] += 1e5
    else:
        rows[labels > 2] += 100
    rows = {
        "far": rows,
        "common": rows + 2.0**33,
        "large": rows * 1e25,
        "small": rows * 1e-30,
    }[place]
    found = kmeans.kmeans(rows, 6)
    assert clustering.compare(found.clusters, labels)["ari"] == 1
    means = np.stack([rows[labels == number].mean(axis=0) for number in range(6)])
    order = np.argsort(found.centers.sum(axis=1))
    np.testing.assert_allclose(
        found.centers[order], means, rtol=1e-5, atol=1e-3 * np.ptp(rows) / 1e2
    )


def test_large_contingency_tables_are_sparse(monkeypatch):
    rng = np.random.default_rng(0)
    clusters, labels = rng.integers(0, 9, (2, 80))
    expected = clustering.compare(clusters, labels)
    monkeypatch.setattr(clustering, "MOST_CELLS", 1)
    assert clustering.compare(clusters, labels) == pytest.approx(expected, abs=1e-12)
    many = np.arange(30_000)
    monkeypatch.undo()
    assert set(clustering.compare(many % 9000, (many + 1) % 9000).values()) == {1.0}
