"""Recipes of images: densities of tiny images in both directions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nfml_jax import flows
from nfml_jax.errors import UserError
from nfml_jax.flows import IMAGE_RECIPES, make_image_flow
from nfml_jax.flows.recipes.stacked import option_names
from nfml_jax.testing import perturb

KEY = jax.random.key(0)
SMALL = {"levels": 1, "steps": 1, "hidden": 4}


STEP = ("ActNorm", "PLU", "Coupling")
SLOW = ("realnvp", "rq_nsf")


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else [])
        for name in IMAGE_RECIPES
    ],
)
def test_draws_have_the_density_that_they_are_drawn_with(name):
    recipe = IMAGE_RECIPES[name]
    known = option_names(recipe)
    flow = recipe((2, 4, 3), **{n: v for n, v in SMALL.items() if n in known})
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


def test_log_determinants_of_all_parts_add_up_from_data_to_base():
    flow = flows.glow((4, 4, 1), levels=2, steps=2, hidden=4, memory="invert")
    x = jax.random.uniform(KEY, (3, 4, 4, 1))
    variables = jax.jit(flow.init)(KEY, x)
    variables |= {"params": perturb(variables["params"], KEY, 0.1)}
    parts = flow.apply(variables, x, method="log_det_parts")
    _, expected = flow.apply(variables, x, method="to_base")
    np.testing.assert_allclose(sum(p.log_det for p in parts), expected, rtol=1e-5)
    steps = [f"step {n}/{kind}" for n in (1, 2) for kind in STEP]
    assert [part.name for part in parts] == [
        "4×4×1/Elementwise",
        *(f"2×2×4/{name}" for name in steps),
        "2×2×4/Coupling",
        *(f"1×1×8/{name}" for name in steps),
        "1×1×8/Elementwise",
    ]
    coupling, act_norm = parts[3], parts[1]
    assert coupling.limit == 2 * 2 * 2 * 5.0 and (coupling.used < 1).all()
    assert act_norm.limit == np.inf and not act_norm.used.any()


@pytest.mark.parametrize("fast, order", [("log_prob", (1, 2)), ("sample", (2, 1))])
def test_log_determinants_of_steps_come_in_the_order_that_they_run(fast, order):
    flow = flows.realnvp(3, layers=2, hidden=(4,), normalize=True, fast=fast)
    x = jax.random.normal(KEY, (2, 5, 3))
    variables = flow.init(KEY, x)
    parts = flow.apply(variables, x, method="log_det_parts")
    kinds = [f"3/step {n}/{kind}" for n in order for kind in ("ActNorm", "Coupling")]
    assert sorted(part.name for part in parts) == sorted(kinds)
    assert [part.name[:8] for part in parts] == [name[:8] for name in kinds]
    assert parts[0].log_det.shape == (2, 5)
