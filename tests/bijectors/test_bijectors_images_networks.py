"""Residual blocks and continuous flows of images, beside their Jacobians."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nfml_jax.bijectors import CausalConv, Continuous, PeriodicConv, Residual
from nfml_jax.nets import LipschitzConv
from nfml_jax.nets.images import GlowNet
from nfml_jax.nets.lipschitz import evaluate
from nfml_jax.testing import start

X = np.random.default_rng(0).normal(size=(3, 2, 3, 1)).astype(np.float32)


def moved(module, x, context=None, spread=0.5):
    return start(module, x, context, spread=spread)


def slogdet(map_, x):
    jacobian = jax.jacfwd(map_)(x).reshape(x.size, x.size)
    return np.linalg.slogdet(np.asarray(jacobian, float))[1]


@pytest.mark.slow
def test_a_continuous_flow_of_images_has_the_log_determinant_of_its_jacobian():
    net = GlowNet(hidden=4, activation=nn.tanh)
    flow = Continuous(net, adjoint="direct", event_ndim=3)
    context = np.ones((3, 2), np.float32)
    variables = moved(flow, X, context, 0.3)

    @jax.jit
    def forward(x, context):
        return flow.apply(variables, x, context)

    y, log_det = forward(X, context)
    # One compiled Jacobian serves; the events of a batch are solved together.
    expected = slogdet(lambda x: forward(x[None], context[:1])[0][0], X[0])
    np.testing.assert_allclose(log_det[0], expected, atol=1e-3)
    back = flow.apply(variables, y, context, method="inverse")
    np.testing.assert_allclose(back, X, atol=1e-3)
    velocity = flow.apply(variables, jnp.zeros(3), X, context, method="velocity")
    assert velocity.shape == X.shape


def test_a_convolutional_block_is_a_contraction():
    net = LipschitzConv(hidden=(6,), lipschitz=0.9, tolerance=1e-6)
    block = Residual(net)
    variables = moved(block, X, spread=2.0)

    @jax.jit
    def measure(variables, x):
        given = {c: v["net"] for c, v in variables.items()}
        layers = net.apply(given, 1, None, x.dtype, x.shape[1:3])
        jacobian = jax.jacfwd(lambda x: evaluate(layers, x))(x[0].ravel())
        y = block.apply(variables, x, method="forward")
        return jacobian, block.apply(variables, y, method="inverse")

    jacobian, back = measure(variables, X)
    assert np.linalg.svd(np.asarray(jacobian))[1].max() < 0.91
    np.testing.assert_allclose(back, X, atol=1e-4)


# The estimate of a block of vectors does so in test_bijectors_residual.py.
@pytest.mark.slow
def test_the_estimate_of_a_block_of_images_averages_to_the_log_determinant():
    block = Residual(LipschitzConv(hidden=(6,), lipschitz=0.6))
    variables = moved(block, X)

    @jax.jit
    def estimate(key):
        return block.apply(variables, X, rngs={"log_det": key})[1]

    draws = jax.lax.map(estimate, jax.random.split(jax.random.key(2), 500))
    exact = jax.jit(block.apply)(variables, X)[1]
    error = np.std(draws, axis=0) / np.sqrt(len(draws))
    assert (np.abs(np.mean(draws, axis=0) - exact) < 5 * error + 1e-3).all()


def test_a_periodic_convolution_sums_over_neighbors_across_the_border():
    layer = PeriodicConv()
    variables = moved(layer, X)
    kernel = variables["params"]["kernel"][:, :, 0, 0].at[1, 1].add(1)
    expected = variables["params"]["bias"] + sum(
        kernel[i, j] * np.roll(X, (1 - i, 1 - j), (1, 2))
        for i in range(3)
        for j in range(3)
    )
    y = layer.apply(variables, X, method="forward")
    np.testing.assert_allclose(y, expected, atol=1e-5)


def test_a_causal_convolution_depends_on_earlier_pixels_and_channels():
    x = np.zeros((1, 3, 3, 2), np.float32)
    layer = CausalConv()
    variables = moved(layer, x)
    jacobian = jax.jacfwd(lambda x: layer.apply(variables, x, method="forward"))(x)
    jacobian = np.asarray(jacobian).reshape(18, 18)
    np.testing.assert_array_equal(np.triu(jacobian, 1), 0)
    assert (np.diag(jacobian) > 0).all()
    # The middle pixel's first channel sees four pixels of two channels, and itself.
    assert (jacobian[8] != 0).sum() == 9
