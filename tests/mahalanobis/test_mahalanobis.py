"""The Mahalanobis metric obeys a metric's axioms, and is trained like a network."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nfml_jax.errors import UserError
from nfml_jax.mahalanobis import Mahalanobis, variables

RNG = np.random.default_rng(0)
A, B, C = RNG.normal(size=(3, 40, 5))


def distance(matrix, a, b):
    metric = Mahalanobis(rank=len(matrix))
    return np.asarray(metric.apply(variables(matrix), a, b, method="distance"))


@pytest.mark.parametrize("rank", [5, 2])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_axioms_of_a_metric_hold(rank, dtype):
    with jax.enable_x64(dtype == np.float64):
        matrix = RNG.normal(size=(rank, 5)).astype(dtype)
        a, b, c = (x.astype(dtype) for x in (A, B, C))
        ab = distance(matrix, a, b)
        assert ab.dtype == dtype and (ab >= 0).all()
        np.testing.assert_array_equal(ab, distance(matrix, b, a))
        slack = 10 * np.finfo(dtype).eps * ab.max()
        assert (ab <= distance(matrix, a, c) + distance(matrix, c, b) + slack).all()
        np.testing.assert_array_equal(distance(matrix, a, a), 0)
        # Of lower rank it is a pseudometric: other points are at distance zero too.
        assert (ab > 0).all() or rank < 5
        w = matrix.T @ matrix
        np.testing.assert_allclose(
            ab**2, np.einsum("ni,ij,nj->n", a - b, w, a - b), rtol=1e-3
        )
        eigenvalues = np.linalg.eigvalsh(w)
        assert eigenvalues.min() > -1e-5 and (eigenvalues > 1e-4).sum() == rank


def test_it_starts_as_the_euclidean_metric_of_its_embedding():
    metric = Mahalanobis()
    start = metric.init(jax.random.key(0), A)
    np.testing.assert_array_equal(start["params"]["L"], np.eye(5))
    np.testing.assert_allclose(
        metric.apply(start, A, B, method="distance"),
        np.linalg.norm(A - B, axis=1),
        rtol=1e-5,
    )
    matrix = RNG.normal(size=(3, 5)).astype(np.float32)
    a, b = (Mahalanobis(3).apply(variables(matrix), x) for x in (A, B))
    np.testing.assert_allclose(
        np.linalg.norm(a - b, axis=1), distance(matrix, A, B), rtol=1e-4
    )


def test_gradients_are_finite_where_points_coincide():
    def total(matrix):
        metric = Mahalanobis()
        return metric.apply(variables(matrix), A, A, method="distance").sum()

    np.testing.assert_array_equal(jax.grad(total)(jnp.eye(5)), 0)


@pytest.mark.parametrize("rank", [0, 6])
def test_a_rank_that_does_not_fit_is_named(rank):
    with pytest.raises(UserError, match=f"rank={rank}; expected 1 to the 5 dimensions"):
        Mahalanobis(rank).init(jax.random.key(0), A)
