"""Laws that hold for all metric learners, and the formulas of each."""

import jax
import numpy as np
import pytest

from nfml_jax.errors import UserError
from nfml_jax.evaluation.neighbors import knn_accuracy
from nfml_jax.mahalanobis import METRIC_LEARNERS
from nfml_jax.mahalanobis.itml import divergence, draw_pairs, project
from nfml_jax.mahalanobis.learner import CHUNK, value_and_grad
from nfml_jax.mahalanobis.lmnn import lmnn_objective, target_neighbors
from nfml_jax.mahalanobis.nca import nca_objective

N, D = 270, 4  # more rows than fit in one chunk


def nuisance(seed: int):
    """Return two classes separated along one direction, with noise along another."""
    rng = np.random.default_rng(seed)
    labels = np.arange(N) % 2
    x = rng.normal(size=(N, D)) * [0.4, 1, 1, 8]
    x[:, 0] += 1.6 * labels
    # Mixed, so that no column alone shows it.
    return x @ np.linalg.qr(np.random.default_rng(0).normal(size=(D, D)))[0], labels


X, Y = nuisance(1)
TEST = nuisance(2)


# Enough for the laws below; by default they go on for longer.
BRIEFLY = {"nca": {"steps": 60}, "lmnn": {"steps": 60}, "itml": {"sweeps": 20}}


def learn(name, x, labels):
    return METRIC_LEARNERS[name](x, labels, **BRIEFLY.get(name, {}))


@pytest.fixture(scope="module")
def learned():
    return {name: learn(name, X, Y) for name in METRIC_LEARNERS}


@pytest.mark.parametrize("name", METRIC_LEARNERS)
def test_a_learner_returns_an_invertible_matrix_of_float64(name, learned):
    matrix = learned[name]
    assert matrix.dtype == np.float64 and matrix.shape == (D, D)
    assert np.linalg.eigvalsh(matrix.T @ matrix).min() > 0


@pytest.mark.parametrize("name", METRIC_LEARNERS)
def test_learned_metrics_beat_the_euclidean_metric(name, learned):
    matrix = learned[name]
    (x, labels) = TEST
    accuracy = knn_accuracy(X @ matrix.T, Y, x @ matrix.T, labels, 3, "euclidean")
    if name == "euclidean":
        assert accuracy < 0.9
    else:
        assert accuracy > 0.93


# Moving all rows, or listing them in another order, changes no distance.
MOVED = np.random.default_rng(3).permutation(N)


@pytest.mark.parametrize("name", ["covariance", "rca", "nca", "lmnn"])
def test_translation_and_order_of_rows_do_not_matter(name, learned):
    matrix = learn(name, X[MOVED] + 5, Y[MOVED])
    w, expected = matrix.T @ matrix, learned[name].T @ learned[name]
    np.testing.assert_allclose(w, expected, atol=2e-2 * np.abs(expected).max())


@pytest.mark.parametrize("name", ["covariance", "rca"])
def test_whitened_distances_are_invariant_to_invertible_maps(name, learned):
    rng = np.random.default_rng(4)
    mixed = X @ (rng.normal(size=(D, D)) * [1, 1e3, 1, 1e-3])
    matrix = METRIC_LEARNERS[name](mixed, Y)
    z, expected = mixed @ matrix.T, X @ learned[name].T
    np.testing.assert_allclose(
        np.linalg.norm(z[:-1] - z[1:], axis=1),
        np.linalg.norm(expected[:-1] - expected[1:], axis=1),
        rtol=1e-8,
    )


def test_covariance_whitens_rows_and_ignores_constant_directions():
    flat = np.column_stack([X, X[:, 0] + X[:, 1], np.full(N, 7.0)])
    z = flat @ METRIC_LEARNERS["covariance"](flat, Y).T
    values = np.linalg.eigvalsh(np.cov(z.T, bias=True))
    np.testing.assert_allclose(values, [0, 0, 1, 1, 1, 1], atol=1e-9)


def squared(z):
    return ((z[:, None] - z) ** 2).sum(-1)


def slow_nca(matrix, x, labels):
    odds = np.exp(-squared(x @ matrix.T))
    np.fill_diagonal(odds, 0)
    own = labels[:, None] == labels
    return -((odds * own).sum(1) / odds.sum(1)).mean()


def slow_lmnn(matrix, x, labels, targets, push):
    d, total = squared(x @ matrix.T), 0
    for i in range(len(x)):
        for j in targets[i][targets[i] < len(x)]:
            hinges = np.maximum(1 + d[i, j] - d[i, labels != labels[i]], 0)
            total += (1 - push) * d[i, j] + push * hinges.sum()
    return total / len(x)


def differences(function, matrix, step=1e-6):
    """The gradient of a function of a matrix by central differences."""
    grad = np.zeros_like(matrix)
    for place in np.ndindex(matrix.shape):
        shift = np.zeros_like(matrix)
        shift[place] = step
        grad[place] = (function(matrix + shift) - function(matrix - shift)) / (2 * step)
    return grad


def test_objectives_and_gradients_equal_the_papers_formulas():
    rng = np.random.default_rng(5)
    x, matrix = X / 4, rng.normal(size=(D, D)) / 2
    # A class of three, and one of a single row, with fewer target neighbors.
    labels = np.where(np.arange(N) < 3, 2, Y)
    labels[3] = 3
    labels = labels.astype(np.int32)  # as learners have them: compiled once
    d = squared(x) + np.diag(np.full(N, np.inf))
    nearest = np.argsort(np.where(labels[:, None] == labels, d, np.inf), axis=1)[:, :3]
    few = np.minimum(np.bincount(labels)[labels] - 1, 3)
    nearest = np.where(np.arange(3) < few[:, None], nearest, N).astype(np.int32)
    cases = {
        nca_objective: (slow_nca, (labels,)),
        lmnn_objective: (slow_lmnn, (labels, nearest, np.float64(0.3))),
    }
    with jax.enable_x64(True):
        np.testing.assert_array_equal(target_neighbors(x, labels, 3), nearest)
        for objective, (slow, data) in cases.items():
            value, grad = value_and_grad(objective, matrix, x, *data)
            assert value == pytest.approx(slow(matrix, x, *data), rel=1e-9)
            expected = differences(lambda m, s=slow, a=data: s(m, x, *a), matrix)
            np.testing.assert_allclose(grad, expected, rtol=1e-5, atol=1e-7)
    assert CHUNK < N


def test_itml_meets_its_conditions():
    """At the solution W⁻¹ = I - Σ ±λ v vᵀ, and every pair keeps its slack bound."""
    x = X / 4
    pairs = draw_pairs(Y, 60, 0)
    alike = Y[pairs[:, 0]] == Y[pairs[:, 1]]
    assert alike.sum() == 30 and (pairs[:, 0] != pairs[:, 1]).all()
    signs, bounds = np.where(alike, 1.0, -1.0), np.where(alike, 1.0, 4.0)
    apart = x[pairs[:, 0]] - x[pairs[:, 1]]
    gamma = 10.0
    with jax.enable_x64(True):
        w, slack = (
            np.asarray(part)
            for part in project(
                apart, signs, bounds, gamma, sweeps=5000, tolerance=1e-9
            )
        )
    p = np.einsum("mi,ij,mj->m", apart, w, apart)
    assert (signs * (p - slack) < 1e-4).all()
    # The slack variables tell the multipliers: 1/ξ = 1/ξ₀ - δλ/γ.
    multipliers = signs * gamma * (1 / bounds - 1 / slack)
    assert (multipliers > -1e-9).all() and (multipliers > 1e-3).any()
    assert np.abs(multipliers * (p - slack)).max() < 1e-3
    inverse = np.eye(D) + (apart.T * (signs * multipliers)) @ apart
    np.testing.assert_allclose(w @ inverse, np.eye(D), atol=1e-6)
    # Nothing near it that meets the bounds by its own slack diverges less.
    least = divergence(w, slack, bounds, gamma)
    rng = np.random.default_rng(0)
    for _ in range(20):
        root = np.eye(D) + 0.02 * rng.normal(size=(D, D))
        near = root.T @ w @ root
        p = np.einsum("mi,ij,mj->m", apart, near, apart)
        needed = np.where(signs * (p - bounds) > 0, p, bounds)
        assert divergence(near, needed, bounds, gamma) > least - 1e-9


@pytest.mark.parametrize("name", ["nca", "lmnn"])
def test_a_lower_rank_starts_from_principal_components(name):
    start = METRIC_LEARNERS[name](X, Y, rank=2, steps=0)
    assert start.shape == (2, D)
    np.testing.assert_allclose(start @ start.T, np.eye(2), atol=1e-9)
    spread = np.linalg.eigvalsh(np.cov(X.T, bias=True))
    np.testing.assert_allclose((X @ start.T).var(axis=0), spread[:-3:-1], rtol=1e-9)


def test_equal_rows_give_a_finite_metric():
    x, labels = np.repeat(X[: N // 3], 3, axis=0), np.repeat(Y[: N // 3], 3)
    for name, fit in METRIC_LEARNERS.items():
        few = {option: 3 for option in BRIEFLY.get(name, {})}
        assert np.isfinite(fit(x, labels, **few)).all(), name


MISTAKES = {
    r"1 of 270 rows are not finite": (
        "covariance",
        (np.where(np.arange(N)[:, None] == 3, np.nan, X), Y),
        {},
    ),
    "one integer for each of the 270": ("nca", (X, Y[:-1]), {}),
    "270 rows of 1 classes": ("lmnn", (X, np.zeros(N, int)), {}),
    "270 rows of 270 classes": ("itml", (X, np.arange(N)), {}),
    "rows of different classes": ("rca", (X, np.arange(N)), {}),
    "all 270 rows are equal": ("covariance", (np.ones((N, D)), Y), {}),
    "rank is 5; expected 1 to the 4": ("nca", (X, Y), {"rank": 5}),
    "steps=-1; expected an integer": ("nca", (X, Y), {"steps": -1}),
    "push=1; expected a number between": ("lmnn", (X, Y), {"push": 1}),
    "neighbors=270; expected 1 to 269": ("lmnn", (X, Y), {"neighbors": N}),
    "gamma=0; expected a number above 0": ("itml", (X, Y), {"gamma": 0}),
    "pairs=1; expected 2 or more": ("itml", (X, Y), {"pairs": 1}),
}


@pytest.mark.parametrize("sentence", MISTAKES)
def test_bad_input_is_named(sentence):
    name, data, options = MISTAKES[sentence]
    with pytest.raises(UserError, match=sentence):
        METRIC_LEARNERS[name](*data, **options)


@pytest.mark.parametrize(
    ("name", "size"), [("nca", 1e3), ("nca", 1e-4), ("lmnn", 0), ("itml", 0)]
)
def test_a_learner_that_learns_nothing_warns(name, size):
    with pytest.warns(UserWarning, match=f"{name} learned nothing"):
        matrix = METRIC_LEARNERS[name](X * size, Y)
    np.testing.assert_allclose(matrix.T @ matrix, np.eye(D), atol=1e-6)


@pytest.mark.parametrize("name", METRIC_LEARNERS)
def test_rows_far_from_zero_give_the_same_metric(name, learned):
    matrix = learn(name, X + 2.0**31, Y)
    w, expected = matrix.T @ matrix, learned[name].T @ learned[name]
    np.testing.assert_allclose(w, expected, atol=2e-2 * np.abs(expected).max())
