"""Continuous flows: solved within their tolerance, and trained by flow matching."""

import sys

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from nfml_jax import flows
from nfml_jax.bijectors import Reverse
from nfml_jax.bijectors.continuous import Continuous, value_and_trace
from nfml_jax.errors import UserError
from nfml_jax.flows.bases import Normal
from nfml_jax.flows.flow import Flow
from nfml_jax.flows.matching import flow_matching_loss
from nfml_jax.nets.conditioners import MLP
from nfml_jax.testing import perturb, start

SIZE = 2


def net(width=8):
    return MLP(hidden=(width,), activation=nn.tanh)


@pytest.fixture(scope="module")
def x():
    return np.float32(np.random.default_rng(0).normal(size=(4, SIZE)))


def test_inverse_log_determinant_and_gradients_are_correct(x):
    pytest.importorskip("diffrax")
    bijector = Continuous(net(), rtol=1e-6, atol=1e-6)
    context = np.ones((4, 1), np.float32)

    @jax.jit
    def run(variables):
        def forward(variables, x):
            return bijector.apply(variables, x, context)

        (y, log_det), pull = jax.vjp(forward, variables, x)
        # A row of every event's Jacobian at once, and gradients of all else.
        rows = np.repeat(np.eye(SIZE, dtype=np.float32)[:, None], len(x), axis=1)
        gradients, jacobian = jax.vmap(lambda row: pull((row, 0 * log_det)))(rows)
        back = bijector.apply(variables, y, context, method="inverse_and_log_det")
        return jacobian.swapaxes(0, 1), y, log_det, back, gradients

    jacobian, y, log_det, back, gradients = run(start(bijector, x, context, spread=0.5))
    assert np.abs(y - x).max() > 0.3
    np.testing.assert_allclose(back[0], x, atol=1e-4)
    np.testing.assert_allclose(back[1], -log_det, atol=1e-4)
    np.testing.assert_allclose(log_det, np.linalg.slogdet(jacobian)[1], atol=1e-4)
    assert all(np.isfinite(g).all() for g in jax.tree.leaves(gradients))


# tests/flows shows the same of a flow of images.
@pytest.mark.slow
def test_a_key_makes_only_the_log_determinant_an_estimate(x):
    pytest.importorskip("diffrax")
    bijector = Continuous(net(), solver="heun")

    @jax.jit
    def run(keys):
        variables = bijector.init(keys[0], x)
        moved = {"params": perturb(variables["params"], keys[0], 0.5)}
        at_once = jax.vmap(lambda key: bijector.apply(moved, x, rngs={"log_det": key}))
        return bijector.apply(variables, x, rngs={"log_det": keys[0]}), at_once(keys)

    still, (y, log_det) = run(jax.random.split(jax.random.key(0), 2))
    np.testing.assert_allclose(y[0], y[1], atol=1e-4)
    assert np.abs(log_det[0] - log_det[1]).max() > 1e-2
    # Zeros at the end of the network: it stands still.
    np.testing.assert_array_equal(still[0], x)


@pytest.mark.slow
@pytest.mark.parametrize("adjoint", ["backsolve", "direct"])
def test_adjoints_agree(x, adjoint):
    pytest.importorskip("diffrax")

    def gradient(adjoint, key):
        bijector = Continuous(net(), adjoint=adjoint)
        variables = bijector.init(key, x)
        moved = {"params": perturb(variables["params"], key, 0.5)}
        return jax.grad(lambda v: bijector.apply(v, x)[1].sum())(moved)

    key = jax.random.key(0)
    expected = jax.jit(lambda key: gradient("checkpoint", key))(key)
    found = jax.jit(lambda key: gradient(adjoint, key))(key)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-2, atol=1e-3),
        found,
        expected,
    )


def test_hutchinsons_estimate_has_the_trace_as_its_mean(x):
    matrix = np.float32(np.random.default_rng(1).normal(size=(SIZE, SIZE)))

    def field(x):
        return jnp.tanh(x @ matrix)

    @jax.jit
    def both(directions):
        estimate = jax.vmap(lambda v: value_and_trace(field, x, v)[1])(directions)
        return value_and_trace(field, x, None), estimate

    directions = np.float32(np.random.default_rng(2).choice([-1, 1], (4096, 4, SIZE)))
    (value, trace), estimate = both(directions)
    np.testing.assert_allclose(value, np.tanh(x @ matrix), atol=1e-6)
    expected = ((1 - value**2) * np.diag(matrix)).sum(-1)
    np.testing.assert_allclose(trace, expected, atol=1e-5)
    np.testing.assert_allclose(estimate.mean(0), expected, atol=0.1)


def test_flow_matching_learns_the_data():
    flow = flows.ffjord(SIZE, hidden=(32,), rtol=1e-3, atol=1e-3)
    rng = np.random.default_rng(0)
    data = np.float32(rng.normal([3, -1], 0.5, (512, SIZE)))
    optimizer = optax.adam(1e-2)

    @jax.jit
    def train(key):
        variables = flow.init(key, data)

        def loss(variables, key):
            return flow.apply(variables, key, data, method=flow_matching_loss)

        def step(state, key):
            variables, moments = state
            value, gradient = jax.value_and_grad(loss)(variables, key)
            updates, moments = optimizer.update(gradient, moments)
            return (optax.apply_updates(variables, updates), moments), value

        state = variables, optimizer.init(variables)
        (variables, _), losses = jax.lax.scan(step, state, jax.random.split(key, 400))
        return losses, flow.apply(variables, key, (512,), method="sample")

    losses, samples = train(jax.random.key(0))
    assert losses[-20:].mean() < 0.3 * losses[0]
    np.testing.assert_allclose(samples.mean(0), [3, -1], atol=0.2)
    np.testing.assert_allclose(samples.std(0), 0.5, atol=0.15)


def test_invalid_uses_raise_one_sentence(x, monkeypatch):
    flow = Flow(Reverse(), Normal(SIZE), SIZE)
    with pytest.raises(UserError, match="trains a Continuous bijector, and this flow"):
        flow.apply({}, jax.random.key(0), x, method=flow_matching_loss)
    with pytest.raises(UserError, match="did you mean 'tsit5'"):
        Continuous(net(), solver="tsit")
    bijector = Continuous(net())
    variables = bijector.init(jax.random.key(0), x)
    monkeypatch.setitem(sys.modules, "diffrax", None)
    with pytest.raises(UserError, match="pip install diffrax"):
        bijector.apply(variables, x)
