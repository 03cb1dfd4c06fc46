"""Networks of causal convolutions: what depends on what, and drawing pixel by pixel."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nfml_jax.bijectors import Affine, PixelAutoregressive
from nfml_jax.errors import UserError
from nfml_jax.nets.images import MaskedConvs, PixelCNN
from nfml_jax.testing import perturb

KEY = jax.random.key(0)
NETS = {
    "pixel_cnn": PixelCNN(hidden=7, blocks=2),
    "masked_convs": MaskedConvs(hidden=(5,)),
}


def _network(net, x, context=None, count=2):
    """Return a network with random parameters, as a function of x, and its layers."""
    given = (x, context, count)
    variables = perturb(net.init(KEY, *given, method="network"), KEY, 0.5)
    return net.apply(variables, *given, method="network")


@pytest.mark.parametrize("name", NETS)
def test_parameters_depend_on_earlier_numbers_alone(name):
    shape = (4, 5, 3)
    x = jax.random.normal(KEY, shape)
    network, layers = _network(NETS[name], x)
    jacobian = jax.jacobian(lambda x: network(layers, x))(x)
    depends = np.asarray(jnp.abs(jacobian).sum(3).reshape(60, 60)) > 0
    # Channels are in order, or independent given the pixels before.
    order = np.arange(60) if name == "pixel_cnn" else np.arange(60) // 3
    assert not (depends & (order[None] >= order[:, None])).any()


def test_channels_see_those_before_at_their_pixel_and_all_neighbors_before():
    x = jax.random.normal(KEY, (6, 7, 2))
    network, layers = _network(PixelCNN(hidden=4, blocks=0), x)
    jacobian = jax.jacobian(lambda x: network(layers, x)[3, 3, 1])(x)
    seen = np.asarray(jnp.abs(jacobian).sum(0)) > 0
    expected = np.zeros((6, 7, 2), bool)
    expected[1:3, 1:6] = expected[3, 1:3] = True  # two rows above, two to the left
    expected[3, 3, 0] = True
    np.testing.assert_array_equal(seen, expected)


@pytest.mark.parametrize("context", [None, (2,), (2, 3, 4, 2)])
@pytest.mark.parametrize("name", NETS)
def test_draws_solve_pixel_by_pixel_what_one_pass_computes(name, context):
    y = jax.random.normal(KEY, (2, 3, 4, 2))
    given = None if context is None else jax.random.normal(jax.random.key(1), context)
    network, layers = _network(NETS[name], y, given, count=2)

    def scalar(raw, y):
        return jnp.tanh(raw[..., 0]) + y * jnp.exp(jnp.tanh(raw[..., 1]))

    x = network.draw(layers, y, scalar)
    np.testing.assert_allclose(x, scalar(network(layers, x), y), atol=1e-5)


def test_variables_of_masked_convolutions_have_their_shapes_and_names_of_before():
    layer = PixelAutoregressive(Affine(), MaskedConvs(hidden=(5,)))
    x, context = jnp.zeros((1, 3, 4, 2)), jnp.zeros((1, 6))
    params = jax.eval_shape(layer.init, KEY, x, context)["params"]
    shapes = jax.tree.map(lambda p: p.shape, params)
    kernels = {"kernel_0": (3, 3, 2, 5), "kernel_1": (3, 3, 5, 4)}
    biases = {"bias_0": (5,), "bias_1": (4,)}
    assert shapes == kernels | biases | {"context": {"kernel": (6, 5)}}


def test_fewer_hidden_channels_than_the_image_has_are_refused():
    with pytest.raises(UserError, match="hidden=2 for images of 3 channels"):
        _network(PixelCNN(hidden=2), jnp.zeros((4, 4, 3)))
