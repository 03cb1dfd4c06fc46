"""The flows of the UvA tutorial: published counts, masks, and scales."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import uva_mnist
from nfml_jax.bijectors import MaskedCoupling
from nfml_jax.bijectors.masks import checkerboard, first_channels, last_channels
from nfml_jax.errors import UserError
from nfml_jax.flows import make_image_flow
from nfml_jax.flows.recipes.uva import uva
from nfml_jax.nets.images import GlowNet
from tests.slow import slow_but

KEY = jax.random.key(0)
PUBLISHED = {"simple": 556_312, "vardeq": 628_388, "multiscale": 1_711_818}


@pytest.mark.parametrize("name", PUBLISHED)
def test_parameters_are_as_many_as_published(name):
    config = uva_mnist.get_config(name).to_dict()
    flow = make_image_flow((28, 28, 1), config["flow"], noise=config["noise"])
    image = jnp.zeros((1, 28, 28, 1))
    params = jax.eval_shape(flow.init, KEY, image, KEY)["params"]
    assert sum(math.prod(p.shape) for p in jax.tree.leaves(params)) == PUBLISHED[name]


@pytest.mark.parametrize(
    "mask", slow_but([checkerboard, first_channels, last_channels], [checkerboard])
)
def test_masked_values_stay_and_alone_change_the_others(mask):
    layer = MaskedCoupling(GlowNet(hidden=4), mask)
    x = jax.random.normal(KEY, (2, 3, 4, 2))
    variables = jax.tree.map(lambda p: p + 0.3, jax.jit(layer.init)(KEY, x))
    apply = jax.jit(layer.apply)
    y, log_det = apply(variables, x)
    stays = mask((3, 4, 2))
    np.testing.assert_array_equal(y[:, stays], x[:, stays])
    assert (y != x)[:, ~stays].all()
    other = jnp.where(stays, x, x + 1)
    np.testing.assert_array_equal(apply(variables, other)[1], log_det)


def test_log_scales_are_bounded_by_a_learned_number():
    layer, x = MaskedCoupling(GlowNet(hidden=4)), jnp.ones((1, 2, 2, 1))
    variables = jax.tree.map(lambda p: p + 100.0, jax.jit(layer.init)(KEY, x))
    params = variables["params"] | {"log_bound": jnp.log(jnp.array([0.5]))}
    _, log_det = jax.jit(layer.apply)({"params": params}, x)
    np.testing.assert_allclose(log_det, 2 * 0.5)  # of two of four pixels


def test_a_mask_or_a_width_that_does_not_fit_is_one_sentence():
    x = jnp.ones((1, 2, 2, 1))
    with pytest.raises(UserError, match=r"mask has shape \[2, 2, 1\].*one of them"):
        MaskedCoupling(GlowNet(), np.ones).init(KEY, x)
    with pytest.raises(UserError, match="one width for each scale"):
        uva((28, 28, 1), steps=(2, 2), hidden=(8,))
