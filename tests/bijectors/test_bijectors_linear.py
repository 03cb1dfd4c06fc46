"""Properties of linear maps beyond the laws of all bijectors."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nfml_jax.bijectors import (
    LU,
    QR,
    SVD,
    Chain,
    Householder,
    LowRank,
    MatrixExponential,
    Orthogonal,
    Permutation,
)
from nfml_jax.bijectors.matrices import reflect
from nfml_jax.errors import UserError
from nfml_jax.nets.conditioners import MLP
from nfml_jax.testing import start

SIZE = 5
LINEAR = {
    "lu": LU(),
    "qr": QR(reflections=3),
    "svd": SVD(max_log_scale=1.0),
    "low_rank": LowRank(rank=2),
    "matrix_exponential": MatrixExponential(),
    "permuted": Chain([Permutation(), LU()]),
    "householder": Householder(),
    "orthogonal": Orthogonal(),
}


@pytest.fixture(scope="module")
def affine():
    """For each map: W, b, W⁻¹ and both log-determinants, at far-out parameters."""

    at = np.concatenate([np.zeros((1, SIZE)), np.eye(SIZE)])

    @jax.jit
    def measure(started):
        # One program, as most of the time is spent compiling.
        measured = {}
        for name, bijector in LINEAR.items():
            variables = started[name]
            y, log_det = bijector.apply(variables, at)
            x, back = bijector.apply(variables, y, method="inverse_and_log_det")
            measured[name] = (y[1:] - y[0]).T, y[0], x - at, log_det, back
        return measured

    with jax.enable_x64(True):
        started = {name: start(b, at, spread=1.0) for name, b in LINEAR.items()}
        return jax.device_get(measure(started))


@pytest.mark.parametrize("name", LINEAR)
def test_maps_are_affine_and_inverted_to_rounding(affine, name):
    matrix, _, gap, log_det, back = affine[name]
    assert np.abs(gap).max() < 1e-9
    np.testing.assert_allclose(log_det, np.linalg.slogdet(matrix)[1], atol=1e-9)
    np.testing.assert_allclose(back, -log_det, atol=1e-12)
    assert np.ptp(log_det) == 0


@pytest.mark.parametrize("name", ["householder", "orthogonal"])
def test_rotations_are_orthogonal(affine, name):
    matrix, shift, _, log_det, _ = affine[name]
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(SIZE), atol=1e-12)
    assert np.linalg.det(matrix) > 0 and not log_det.any() and not shift.any()


def test_singular_values_stay_within_the_bound(affine):
    values = np.linalg.svd(affine["svd"][0], compute_uv=False)
    assert values.max() < np.e and values.min() > 1 / np.e


def test_low_rank_changes_as_many_directions_as_its_rank(affine):
    values = np.linalg.svd(affine["low_rank"][0] - np.eye(SIZE), compute_uv=False)
    assert (values[2:] < 1e-12).all() and values[1] > 0.1


def test_reflections_are_applied_in_order_and_skipped_if_zero():
    vectors = np.random.default_rng(0).normal(size=(3, SIZE))
    vectors[1] = 0
    one, _, three = (np.outer(v, v) / max(v @ v, 1e-9) for v in vectors)
    expected = (np.eye(SIZE) - 2 * one) @ (np.eye(SIZE) - 2 * three)
    vectors = np.float32(vectors)
    jacobian = jax.jacobian(lambda v: reflect(v, jnp.eye(SIZE)))
    matrix = jax.jit(reflect)(vectors, np.eye(SIZE, dtype=np.float32)).T
    np.testing.assert_allclose(matrix, expected, atol=1e-5)
    assert np.isfinite(jax.jit(jacobian)(vectors)).all()


def test_scales_and_shift_depend_on_the_context_with_a_conditioner():
    net = MLP(hidden=(4,))
    x, context = np.ones((2, SIZE)), np.asarray([[1.0], [2.0]])
    bijector = LU(net)

    variables = start(bijector, x, context, spread=1.0)
    one, two = jax.jit(bijector.apply)(variables, x, context)[1]
    assert one != two
    with pytest.raises(UserError, match="LU has a conditioner but was given no cont"):
        bijector.init(jax.random.key(0), x)
