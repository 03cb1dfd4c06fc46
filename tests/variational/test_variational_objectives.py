"""Objectives between normals have known values and gradients; so have the weights."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nfml_jax.errors import UserError
from nfml_jax.variational import (
    OBJECTIVES,
    Approximation,
    DivergenceSettings,
    alpha_divergence,
    approximation_of,
    estimates,
    log_weights,
    make_objective,
)

LOG_Z = 1.7
N = 20_000
KEY = jax.random.key(0)


def log_normal(x, mean, scale):
    z = (x - mean) / scale
    return (-0.5 * z**2 - jnp.log(scale) - 0.5 * jnp.log(2 * jnp.pi)).sum(-1)


def sample_and_log_prob(variables, key, n):
    scale = jnp.exp(variables["log_scale"])
    x = variables["mean"] + scale * jax.random.normal(key, (n, 2))
    return x, log_normal(x, variables["mean"], scale)


def log_prob(variables, x):
    return log_normal(x, variables["mean"], jnp.exp(variables["log_scale"]))


Q = Approximation(sample_and_log_prob, log_prob)
AT = {"mean": jnp.array([0.4, -0.3]), "log_scale": jnp.array([0.2, -0.1])}
EQUAL = {"mean": jnp.zeros(2), "log_scale": jnp.zeros(2)}


def target(x):
    """A standard normal times exp(LOG_Z)."""
    return log_normal(x, 0.0, 1.0) + LOG_Z


def reverse(v):
    square = jnp.exp(2 * v["log_scale"])
    kl = (square + v["mean"] ** 2 - 1) / 2 - v["log_scale"]
    return kl.sum() - LOG_Z


def forward(v):
    square = jnp.exp(2 * v["log_scale"])
    kl = (1 + v["mean"] ** 2) / (2 * square) - 0.5 + v["log_scale"]
    return kl.sum() + LOG_Z


def renyi(v, alpha):
    """Return Rényi's divergence of normals: Gil, Alajaji and Linder (2013)."""
    square = jnp.exp(2 * v["log_scale"])
    mixed = alpha + (1 - alpha) * square
    spread = v["log_scale"] - jnp.log(mixed) / (2 * (1 - alpha))
    return (alpha * v["mean"] ** 2 / (2 * mixed) - spread).sum() - LOG_Z


HALF, TWO = (partial(alpha_divergence, alpha=alpha) for alpha in (0.5, 1.2))
CASES = {
    "reverse_kl": (OBJECTIVES["reverse_kl"], reverse),
    "path_gradient": (OBJECTIVES["path_gradient"], reverse),
    "forward_kl": (OBJECTIVES["forward_kl"], forward),
    "alpha_divergence": (HALF, partial(renyi, alpha=0.5)),
    "alpha = 1.2": (TWO, partial(renyi, alpha=1.2)),
}


def test_every_objective_is_tested():
    assert set(OBJECTIVES) <= set(CASES)


@pytest.mark.parametrize("name", CASES)
def test_value_and_gradient_equal_those_of_the_divergence(name):
    objective, exact = CASES[name]

    @jax.jit
    def batch(key):
        def loss(v):
            return objective(Q, target, v, key, N // 20)

        return jax.value_and_grad(loss)(AT)

    values, gradients = jax.lax.map(batch, jax.random.split(KEY, 40))
    value, gradient = jax.value_and_grad(exact)(AT)
    for found, is_ in [(values, value), *((gradients[k], gradient[k]) for k in AT)]:
        error = np.std(found, axis=0, ddof=1) / np.sqrt(len(found))
        # A ratio of means is biased by 1 / n.
        np.testing.assert_array_less(np.abs(found.mean(0) - is_), 4 * error + 2e-3)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_two_devices_give_the_draws_of_one(name):
    def sample(variables, keys, n):
        one = partial(sample_and_log_prob, variables, n=1)
        return jax.tree.map(lambda a: a[:, 0], jax.vmap(one)(keys))

    q, keys = Approximation(sample, log_prob), jax.random.split(KEY, 12)

    def on(axis_name, keys):
        settings = DivergenceSettings(name=name)
        objective = make_objective(settings, axis_name=axis_name)
        return jax.value_and_grad(lambda v: objective(q, target, v, keys, len(keys)))(
            AT
        )

    @jax.jit
    def both(keys):
        halves = jax.vmap(partial(on, "batch"), axis_name="batch")(keys.reshape(2, 6))
        return on(None, keys), halves

    one, two = both(keys)
    for whole, halves in zip(*map(jax.tree.leaves, (one, two)), strict=True):
        np.testing.assert_allclose(whole, halves.mean(0), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["path_gradient", "alpha_divergence"])
def test_the_path_gradient_vanishes_for_every_draw_once_q_is_p(name):
    def loss(v, key):
        return OBJECTIVES[name](Q, target, v, key, 8)

    value, gradient = jax.jit(jax.value_and_grad(loss))(EQUAL, KEY)
    assert value == pytest.approx(-LOG_Z, abs=1e-5)
    largest = max(float(jnp.abs(g).max()) for g in jax.tree.leaves(gradient))
    assert (largest < 1e-6) == (name == "path_gradient")


def test_weights_give_normalizer_bound_and_sample_size():
    shift = {"mean": jnp.array([0.6, 0.0]), "log_scale": jnp.zeros(2)}
    run = jax.jit(lambda key: log_weights(Q, target, shift, key, N, chunk=3000))
    weights = run(KEY)
    assert weights.shape == (N,) and len(np.unique(weights)) > 0.9 * N
    found = {k: float(v) for k, v in estimates(weights, log_z=LOG_Z).items()}
    assert found["log_z"] == pytest.approx(LOG_Z, abs=4 * found["log_z_error"])
    assert found["kl"] == pytest.approx(0.18, abs=4 * found["kl_error"])
    assert found["elbo"] == pytest.approx(LOG_Z - 0.18, abs=4 * found["elbo_error"])
    assert found["ess"] == pytest.approx(np.exp(-0.36), rel=0.05)
    assert found["log_z_error"] == pytest.approx(
        np.sqrt((np.exp(0.36) - 1) / N), rel=0.1
    )
    equal = estimates(log_weights(Q, target, EQUAL, KEY, 100))
    assert equal["ess"] == pytest.approx(1) and "kl" not in equal
    assert float(equal["log_z"]) == pytest.approx(LOG_Z, abs=1e-5)


def test_points_of_zero_density_have_zero_weight():
    found = estimates(jnp.array([0.0, -jnp.inf, -jnp.inf, 0.0]))
    assert found["log_z"] == pytest.approx(-np.log(2), abs=1e-6)
    assert found["ess"] == pytest.approx(0.5) and found["elbo"] == -jnp.inf

    def half(x):
        return jnp.where(x[:, 0] > 0, target(x), -jnp.inf)

    def loss(v):
        return OBJECTIVES["forward_kl"](Q, half, v, KEY, 100)

    value, gradient = jax.jit(jax.value_and_grad(loss))(AT)
    assert np.isfinite(value)
    assert all(np.isfinite(g).all() for g in jax.tree.leaves(gradient))


def test_a_flow_gives_an_approximation():
    from nfml_jax.bijectors import Affine, Elementwise
    from nfml_jax.flows import Flow
    from nfml_jax.flows.bases import Normal

    flow = Flow(Elementwise(Affine()), Normal(2), event_dim=2)
    q = approximation_of(flow)

    @jax.jit
    def run():
        variables = flow.init(KEY, jnp.zeros((1, 2)))
        x, log_q = q.sample_and_log_prob(variables, KEY, 5)
        gradient = jax.grad(lambda v: OBJECTIVES["path_gradient"](q, target, v, KEY, 5))
        return variables, x, log_q, q.log_prob(variables, x), gradient(variables)

    variables, x, log_q, again, gradient = run()
    assert x.shape == (5, 2)
    np.testing.assert_allclose(log_q, again, rtol=1e-5)
    assert jax.tree.structure(gradient) == jax.tree.structure(variables)


def test_alpha_one_is_refused():
    with pytest.raises(UserError, match="reverse_kl"):
        alpha_divergence(Q, target, AT, KEY, 2, alpha=1)
