"""Residual flows: contractions, estimates of log-determinants, implicit gradients."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nfml_jax.bijectors import Chain
from nfml_jax.bijectors.residual import (
    Residual,
    Roulette,
    TruncatedSeries,
    estimated_log_det,
    exact_log_det,
    residual_inverse,
)
from nfml_jax.nets.lipschitz import LipschitzMLP, evaluate, lip_swish, power_iteration
from nfml_jax.testing import perturb

SIZE = 3
BOUND = 0.8


@pytest.fixture(scope="module")
def layers():
    """A network whose weights would be far too large."""
    net = LipschitzMLP(hidden=(16, 16), lipschitz=BOUND, tolerance=1e-6)

    @jax.jit
    def make(key):
        variables = net.init(key, SIZE, None, np.float32)
        moved = perturb(variables["params"], key, 2.0)
        return net.apply({**variables, "params": moved}, SIZE, None, np.float32)

    return make(jax.random.key(0))


@pytest.fixture(scope="module")
def x():
    return np.float32(np.random.default_rng(0).normal(size=(8, SIZE)))


def test_the_lipschitz_constant_is_below_its_bound(layers, x):
    jacobian = jax.jit(jax.vmap(jax.jacfwd(partial(evaluate, layers))))(x)
    slopes = np.linalg.svd(jacobian, compute_uv=False)
    assert 0.01 < slopes.max() < BOUND
    for layer in layers:
        norm = np.linalg.norm(layer["kernel"], 2)
        np.testing.assert_allclose(norm, BOUND ** (1 / 3), rtol=1e-3)


def test_the_activations_slope_is_at_most_one():
    at = np.linspace(-100, 100, 8001)
    slope = jax.jit(jax.vmap(jax.grad(lip_swish), (0, None)))
    for beta in (-3.0, 0.5, 4.0):
        assert 0.99 < slope(at, beta).max() <= 1


def test_power_iteration_finds_the_norm_of_any_matrix():
    rng = np.random.default_rng(0)
    matrix = np.float32(rng.normal(size=(6, 4)))
    find = jax.jit(partial(power_iteration, tolerance=1e-7))
    left, right = find(matrix, np.ones(6, np.float32))
    np.testing.assert_allclose(left @ matrix @ right, np.linalg.norm(matrix, 2), 1e-4)
    left, right = find(0 * matrix, np.ones(6, np.float32))
    np.testing.assert_allclose(np.linalg.norm(left), 1, rtol=1e-6)
    assert not right.any()


def test_estimates_and_their_gradients_are_unbiased(x):
    noise = np.random.default_rng(1).normal(size=(SIZE, SIZE))
    kernel = np.float32(0.1 * noise - 0.5 * np.eye(SIZE))
    draws = 4096

    def value_and_gradient(log_det):
        def total(kernel, *arguments):
            layers = [{"kernel": kernel, "bias": jnp.zeros(SIZE)}]
            return log_det(layers, x[:2], *arguments).sum()

        return jax.value_and_grad(total)

    @jax.jit
    def compare(keys):
        estimators = {
            "roulette": Roulette(),
            "series": TruncatedSeries(30),
            "one": TruncatedSeries(1),
        }
        measured = {}
        for name, estimator in estimators.items():
            estimate = partial(estimated_log_det, estimator=estimator)
            run = partial(value_and_gradient(estimate), kernel)
            measured[name] = jax.tree.map(
                lambda v: (v.mean(0), v.std(0) / draws**0.5), jax.vmap(run)(keys)
            )
        return value_and_gradient(exact_log_det)(kernel), measured

    (value, gradient), found = compare(jax.random.split(jax.random.key(1), draws))
    for name in ("roulette", "series"):
        (mean, error), (slope, slope_error) = found[name]
        assert abs(mean - value) < 4 * error + 1e-4, name
        assert (np.abs(slope - gradient) < 5 * slope_error + 1e-4).all(), name
        assert error < 0.02 * abs(value)
    # One term alone is not enough, so the test can tell.
    (mean, error), (slope, slope_error) = found["one"]
    assert abs(mean - value) > 4 * error
    assert (np.abs(slope - gradient) > 5 * slope_error).any()


def test_the_inverse_is_a_fixed_point_and_its_gradient_implicit(layers, x):
    def inverse(y):
        return residual_inverse(layers, y)

    @jax.jit
    def both(x):
        y = x + evaluate(layers, x)
        forth = jax.vmap(jax.jacfwd(lambda x: x + evaluate(layers, x)))(x)
        return inverse(y), forth, jax.vmap(jax.jacrev(inverse))(y)

    back, forth, backward = both(x)
    np.testing.assert_allclose(back, x, atol=1e-5)
    np.testing.assert_allclose(
        backward @ forth, np.broadcast_to(np.eye(SIZE), forth.shape), atol=1e-4
    )


def test_a_key_makes_an_estimate_and_training_updates_directions(x):
    net = LipschitzMLP(hidden=(8,))
    bijector = Residual(net)

    @jax.jit
    def run(key):
        variables = bijector.init(key, x)
        y = bijector.apply(variables, x)[0]
        moved = {**variables, "params": perturb(variables["params"], key, 1.0)}
        exact = bijector.apply(moved, x)[1]
        (_, estimate), updated = bijector.apply(
            moved, x, rngs={"log_det": key}, mutable=["spectral"]
        )
        return y, exact, estimate, variables["spectral"], updated["spectral"]

    y, exact, estimate, before, after = run(jax.random.key(0))
    np.testing.assert_array_equal(y, x)
    assert not np.allclose(exact, estimate) and jnp.isfinite(estimate).all()
    same = jax.tree.map(np.array_equal, before, after)
    assert not any(jax.tree.leaves(same))


def test_default_blocks_do_not_share_weights(x):
    one, two = (
        len(jax.tree.leaves(jax.eval_shape(Chain(blocks).init, jax.random.key(0), x)))
        for blocks in ([Residual()], [Residual(), Residual()])
    )
    assert two == 2 * one
