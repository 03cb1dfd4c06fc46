"""Retrieval equals a brute-force ranking and scikit-learn, ties and chunks included."""

import tracemalloc
import warnings

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, ndcg_score

from nfml_jax.errors import UserError
from nfml_jax.evaluation import retrieval, similarities

NAMES = (
    "recall@1",
    "recall@5",
    "precision@5",
    "r_precision",
    "map@r",
    "map@7",
    "map",
    "mrr",
    "mrr@3",
    "ndcg",
    "ndcg@5",
    "ndcg@r",
)


def dyadic(n: int, seed: int):
    """Vectors of mean zero and exact products, so that many similarities tie."""
    rng = np.random.default_rng(seed)
    half = rng.choice([-1.0, 1.0], (n // 2, 16))
    return np.concatenate([half, -half]), rng.integers(0, 6, n)


def gaussian(n: int, seed: int):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 6, n)
    centers = np.random.default_rng(9).normal(size=(6, 8))
    return (centers[labels] + rng.normal(size=(n, 8))).astype(np.float32), labels


def rankings(queries, gallery, itself, metric="cosine"):
    """The gallery's rows in order for each query: a stable sort in float64."""
    q, g = np.float64(queries), np.float64(gallery)
    if metric == "cosine":
        q, g = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (q, g))
        scores = q @ g.T
    else:
        scores = -np.sum((q[:, None] - g) ** 2, axis=-1)
    order = np.argsort(-scores.round(12), axis=1, kind="stable")
    if itself:
        order = np.stack([row[row != i] for i, row in enumerate(order)])
    return order


def by_definition(relevant: np.ndarray) -> dict[str, float]:
    """Each measure of one query from `relevant` [N], in the order of its ranking."""
    ranks, r = 1 + np.flatnonzero(relevant), int(relevant.sum())

    def ap(k):
        precisions = [relevant[:i].mean() for i in ranks if i <= k]
        return sum(precisions) / min(r, k)

    def ndcg(k):
        discount = 1 / np.log2(2 + np.arange(k))
        return relevant[:k] @ discount[: len(relevant)] / discount[: min(r, k)].sum()

    return {
        "recall@1": relevant[0],
        "recall@5": relevant[:5].any(),
        "precision@5": relevant[:5].mean(),
        "r_precision": relevant[:r].mean(),
        "map@r": ap(r),
        "map@7": ap(7),
        "map": ap(len(relevant)),
        "mrr": 1 / ranks[0],
        "mrr@3": 1 / ranks[0] if ranks[0] <= 3 else 0,
        "ndcg": ndcg(len(relevant)),
        "ndcg@5": ndcg(5),
        "ndcg@r": ndcg(r),
    }


@pytest.mark.parametrize("metric", similarities.SIMILARITIES)
@pytest.mark.parametrize("itself", [True, False])
@pytest.mark.parametrize("make", [dyadic, gaussian])
def test_measures_equal_those_of_a_stable_sort_of_all_rows(make, itself, metric):
    queries, labels = make(64, 0)
    gallery, gallery_labels = (queries, labels) if itself else make(64, 1)
    order = rankings(queries, gallery, itself, metric)
    relevant = gallery_labels[order] == labels[:, None]
    expected = [by_definition(row) for row in relevant]
    other = () if itself else (gallery, gallery_labels)
    found = retrieval.per_query(
        queries, labels, *other, names=NAMES, metric=metric, scores=1000
    )
    for name in NAMES:
        np.testing.assert_allclose(
            found[name], [e[name] for e in expected], err_msg=name
        )
    # A shallow search finds the same as a deep one, whatever the chunk.
    shallow = retrieval.metrics(
        queries, labels, *other, names=("recall@5",), metric=metric, scores=1000
    )
    assert shallow == {"recall@5": pytest.approx(found["recall@5"].mean())}


def test_full_rankings_without_ties_equal_scikit_learn():
    (queries, labels), (gallery, gallery_labels) = gaussian(40, 0), gaussian(70, 1)
    found = retrieval.per_query(
        queries, labels, gallery, gallery_labels, names=("map", "ndcg", "ndcg@9")
    )
    q, g = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (queries, gallery))
    scores, relevant = q @ g.T, labels[:, None] == gallery_labels
    for i, row in enumerate(relevant):
        assert found["map"][i] == pytest.approx(average_precision_score(row, scores[i]))
        for name, k in (("ndcg", None), ("ndcg@9", 9)):
            theirs = ndcg_score([row], [scores[i]], k=k, ignore_ties=True)
            assert found[name][i] == pytest.approx(theirs)


def test_ties_are_ranked_by_index_without_the_query_itself():
    same, labels = np.ones((5, 3)), [0, 1, 1, 0, 0]
    found = retrieval.per_query(same, labels, names=("mrr", "map"))
    np.testing.assert_allclose(found["mrr"], [1 / 3, 1 / 2, 1 / 2, 1, 1])
    assert found["map"][4] == pytest.approx((1 + 2 / 4) / 2)


def test_queries_without_a_relevant_row_are_counted_and_left_out():
    queries, labels = np.eye(3), [0, 0, 1]
    with pytest.warns(UserWarning, match="1 of 3 queries"):
        assert retrieval.metrics(queries, labels, names=("recall@2",))["recall@2"] == 1
    assert np.isnan(retrieval.per_query(queries, labels, names=("map",))["map"][2])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = retrieval.metrics(queries[:2], labels[:2])
    assert found == {"recall@1": 1.0, "r_precision": 1.0, "map@r": 1.0}
    assert all(type(value) is float for value in found.values())


def test_memory_is_bounded_by_the_scores_held():
    """With 1,500 relevant rows for each of 3,000 queries, far less than N² bytes."""
    n = 3000
    embeddings, labels = gaussian(n, 0)
    tracemalloc.start()
    retrieval.metrics(embeddings, labels % 2, scores=2**15)
    _, host = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert host < n * n / 2


ROWS, LABELS = np.eye(3), [0, 0, 1]


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: retrieval.metrics(ROWS, LABELS, names=["recall@3"]), "1 to the 2"),
        (lambda: retrieval.metrics(ROWS, LABELS, names=["recall@0"]), "K is 0"),
        (lambda: retrieval.metrics(ROWS, LABELS, names=["recal"]), "'recal' is no"),
        (lambda: retrieval.metrics(ROWS, LABELS, names=["map@q"]), "'map@q' is no"),
        (lambda: retrieval.metrics(ROWS, LABELS, names=[]), "empty"),
        (lambda: retrieval.metrics(ROWS, LABELS, metric="l2"), "cosine, euclidean"),
        (lambda: retrieval.metrics(ROWS, [0, 1, 2]), "None of the 3"),
        (lambda: retrieval.metrics(ROWS[:1], [0]), "no other to search"),
        (lambda: retrieval.metrics(ROWS, [0, 1]), "labels"),
        (lambda: retrieval.metrics(ROWS * np.nan, LABELS), "3 of 3 queries"),
        (lambda: retrieval.metrics(ROWS[:0], LABELS[:0]), "queries are empty"),
        (lambda: retrieval.metrics(ROWS, LABELS, np.eye(2), [0, 1]), "dimensions"),
    ],
)
def test_bad_input_is_named(call, says):
    with pytest.raises(UserError, match=says):
        call()


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("count", [1025, 8200])
def test_the_first_of_equal_rows_comes_first(metric, count):
    rng = np.random.default_rng(0)
    rows = np.tile(rng.normal(size=33), (count, 1))
    labels = np.r_[0, np.ones(count - 1, int)]
    queries = rng.normal(size=(3, 33))
    found = retrieval.per_query(
        queries, [0, 1, 2], rows, labels, names=["mrr"], metric=metric
    )["mrr"]
    np.testing.assert_array_equal(found, [1, 0.5, np.nan])


def test_a_query_among_equal_rows_finds_the_others():
    rng = np.random.default_rng(0)
    rows = np.repeat(rng.normal(size=(30, 9)), 2, axis=0)
    labels = np.repeat(np.arange(30), 2)
    for metric, size in (("cosine", 1), ("euclidean", 1), ("euclidean", 1e20)):
        for common in (0, 1e4):
            x = (rows + common) * size
            found = retrieval.metrics(x, labels, metric=metric, names=["recall@1"])
            assert found["recall@1"] == 1, (metric, size, common)


def test_a_large_common_part_of_float64_changes_no_ranking():
    labels = np.repeat(np.arange(5), 4)
    times = 1.7e9 + 10.0 * labels + np.tile([0, 0.1, 0.2, 0.3], 5)
    x = np.stack([times, np.zeros(20)], axis=1)
    assert retrieval.metrics(x, labels, metric="euclidean")["map@r"] == 1
