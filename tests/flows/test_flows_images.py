"""Recipes of images: densities of tiny images in both directions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nfml_jax import flows
from nfml_jax.errors import UserError
from nfml_jax.flows import IMAGE_RECIPES, make_image_flow

KEY = jax.random.key(0)
SMALL = {"levels": 1, "steps": 1, "hidden": 4}


SLOW = ("realnvp", "rq_nsf")


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else [])
        for name in IMAGE_RECIPES
    ],
)
def test_draws_have_the_density_that_they_are_drawn_with(name):
    flow = IMAGE_RECIPES[name]((2, 4, 3), **SMALL)
    pixels = jax.random.uniform(KEY, (3, 2, 4, 3))
    variables = flow.init(KEY, pixels)
    noise = np.random.default_rng(0)
    variables = jax.tree.map(
        lambda p: (
            p + 0.1 * noise.normal(size=p.shape)
            if jnp.issubdtype(p.dtype, jnp.floating)
            else p
        ),
        variables,
    )
    x, log_prob = flow.apply(variables, KEY, (3,), method="sample_and_log_prob")
    assert x.shape == (3, 2, 4, 3) and (x > 0).all() and (x < 1).all()
    np.testing.assert_allclose(flow.apply(variables, x), log_prob, rtol=1e-3)


def test_scales_are_nested_and_their_latents_one_array():
    flow = flows.glow(event_shape=(8, 8, 1), levels=2, steps=2, hidden=4)
    x = jax.random.uniform(KEY, (4, 8, 8, 1))
    variables = jax.jit(flow.init)(KEY, x)
    assert flow.base_shape == flow.shape == (8, 8, 1)
    shapes = {p.shape[0] for p in jax.tree.leaves(variables["params"]) if p.ndim == 5}
    assert 2 in shapes  # the steps of a scale share a loop
    assert jax.jit(flow.apply)(variables, x).shape == (4,)


def test_recipes_of_vectors_take_the_shape_of_images():
    flow = flows.realnvp(event_shape=(2, 2, 1), **SMALL)
    assert flow.event_shape == (2, 2, 1)
    assert flows.realnvp(3, layers=2).event_dim == 3


def test_what_no_flow_of_images_can_be_is_one_sentence():
    with pytest.raises(
        UserError, match=r"levels=2 needs sides that 4 divides.*28×30 pixels"
    ):
        flows.glow((28, 30, 1))
    with pytest.raises(UserError, match=r"is no shape of images"):
        flows.glow((28, 28))
    with pytest.raises(UserError, match="prior"):
        flows.glow((4, 4, 1), prior="none")
    with pytest.raises(UserError, match="recipe of images 'maff'"):
        make_image_flow((4, 4, 1), {"recipe": "maff"})
    with pytest.raises(UserError, match="option of recipe 'glow': 'hiden'"):
        make_image_flow((4, 4, 1), {"recipe": "glow", "hiden": 3})
    with pytest.raises(UserError, match="option of noise: 'depth'"):
        noise = {"steps": 1, "depth": 2}
        make_image_flow((4, 4, 1), {"recipe": "glow"}, noise=noise)
