"""Recipes of images: densities of tiny images in both directions."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nfml_jax import flows
from nfml_jax.bijectors import continuous
from nfml_jax.bijectors.continuous import value_and_trace
from nfml_jax.errors import UserError
from nfml_jax.flows import BASES, IMAGE_RECIPES, make_image_flow
from nfml_jax.flows.recipes.stacked import option_names
from nfml_jax.testing import perturb

KEY = jax.random.key(0)
SMALL = {"levels": 1, "steps": 1, "hidden": 4}


STEP = ("ActNorm", "PLU", "Coupling")
# What each recipe takes for a tiny flow beside one scale and one step.
OPTIONS = {
    "maf": {"hidden": (4,)},
    "pixel_cnn": {"hidden": 12, "blocks": 1, "components": 2},
    "residual": {"hidden": (4,)},
    "ffjord": {"rtol": 1e-5, "atol": 1e-5},
    "planar": {"layers": 2},
    "sylvester": {"layers": 2, "rank": 3},
}
# Their layers' laws hold for all events; these show that recipes put them together.
FAST = ("glow",)


def small(name):
    """Return the options of a tiny flow."""
    known = option_names(IMAGE_RECIPES[name])
    return {n: v for n, v in SMALL.items() if n in known} | OPTIONS.get(name, {})


def moved(variables, spread=0.1):
    """Return variables of which all floats have noise added."""
    noise = np.random.default_rng(0)
    return jax.tree.map(
        lambda p: (
            p + spread * noise.normal(size=p.shape)
            if jnp.issubdtype(p.dtype, jnp.floating)
            else p
        ),
        variables,
    )


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[] if name in FAST else [pytest.mark.slow])
        for name in IMAGE_RECIPES
    ],
)
def test_draws_have_the_density_that_they_are_drawn_with(name):
    flow = IMAGE_RECIPES[name]((2, 4, 3), **small(name))
    variables = jax.jit(flow.init)(KEY, jax.random.uniform(KEY, (3, 2, 4, 3)))
    variables = moved(variables)
    x, log_prob = flow.apply(variables, KEY, (3,), method="sample_and_log_prob")
    assert x.shape == (3, 2, 4, 3) and (abs(x - 0.5) < 0.5 + 1.1e-5).all()
    np.testing.assert_allclose(flow.apply(variables, x), log_prob, rtol=1e-3)


def test_scales_are_nested_and_their_latents_one_array():
    flow = flows.glow(event_shape=(8, 8, 1), levels=2, steps=2, hidden=4)
    x = jax.random.uniform(KEY, (4, 8, 8, 1))
    variables = jax.eval_shape(flow.init, KEY, x)
    assert flow.base_shape == flow.shape == (8, 8, 1)
    shapes = {p.shape[0] for p in jax.tree.leaves(variables["params"]) if p.ndim == 5}
    assert 2 in shapes  # the steps of a scale share a loop
    assert jax.eval_shape(flow.apply, variables, x).shape == (4,)


def test_recipes_of_vectors_take_the_shape_of_images():
    flow = flows.realnvp(event_shape=(2, 2, 1), **SMALL)
    assert flow.event_shape == (2, 2, 1)
    assert flows.realnvp(3, layers=2).event_dim == 3


@pytest.mark.parametrize("name", IMAGE_RECIPES)
def test_recipes_take_any_size_and_say_how_much_they_pad(name):
    model = make_image_flow((5, 3, 2), {"recipe": name, **small(name)}, levels=4)
    assert model.event_shape == (5, 3, 2)
    squeezed = name not in ("planar", "sylvester", "uva")
    assert model.base_shape == ((6, 4, 2) if squeezed else (5, 3, 2))
    assert model.padded == (18 if squeezed else 0)


# Padding has laws of its own in tests/bijectors.
@pytest.mark.slow
def test_a_padded_flow_bounds_a_density_of_the_image_alone():
    # One pixel in a flow of four: exp of the bound has the density as its mean.
    model = flows.realnvp(event_shape=(1, 1, 1), **SMALL)
    logits = jnp.linspace(-11, 11, 201)
    x = jax.nn.sigmoid(logits).reshape(-1, 1, 1, 1)
    variables = moved(jax.jit(model.init)(KEY, x[80:120], KEY), 0.3)
    keys = jax.random.split(KEY, 512)
    bounds = jax.jit(jax.vmap(lambda key: model.apply(variables, x, key)))(keys)
    density = jnp.exp(bounds).mean(0)
    # dx is x (1 - x) times that of the logits.
    total = (density * (x * (1 - x))[:, 0, 0, 0]).sum() * (logits[1] - logits[0])
    np.testing.assert_allclose(total, 1, atol=0.05)
    assert (bounds.mean(0) <= jnp.log(density) + 1e-5).all()
    assert bounds.std(0).min() > 0.01


def test_a_flow_that_leaves_its_padding_alone_is_exact():
    model = flows.nice(event_shape=(1, 3, 1), prior="normal", **SMALL)
    x = jax.random.uniform(KEY, (5, 1, 3, 1))
    variables = jax.jit(model.init)(KEY, x, KEY)
    log_prob = model.apply(variables, x, jax.random.key(1))
    y = (1 - 2e-5) * x + 1e-5
    logits = jnp.log(y) - jnp.log1p(-y)
    slope = jnp.log(1 - 2e-5) - jnp.log(y) - jnp.log1p(-y)
    expected = (jax.scipy.stats.norm.logpdf(logits) + slope).sum((1, 2, 3))
    # The α of pixels moves the padding's logits by about as much.
    np.testing.assert_allclose(log_prob, expected, atol=2e-3)


# Padding has laws of its own in tests/bijectors.
@pytest.mark.slow
def test_padded_images_come_back_and_a_feature_map_is_padded_with_them():
    options = {"recipe": "glow", **SMALL}
    model = make_image_flow((3, 5, 1), options, levels=17, context_dim=2)
    x = np.random.default_rng(0).integers(0, 17, (2, 3, 5, 1))
    keys, context = jax.random.split(KEY, 2), jnp.ones((2, 3, 5, 2))
    variables = moved(jax.jit(model.init)(KEY, x, keys, context), 0.05)
    latents = model.apply(variables, x, context, method="encode")
    assert latents.shape == (2, 4, 6, 1)
    again = model.apply(variables, latents, context, method="decode")
    np.testing.assert_array_equal(again, x)
    terms = model.apply(variables, x, keys, context, method="terms")
    assert terms.keys() == {"density", "pad", "dequantize"}
    one = model.apply(variables, x[1:], keys[1:], 2 * context[1:], method="terms")
    np.testing.assert_allclose(one["pad"], terms["pad"][1:], rtol=1e-5)
    assert abs(one["density"] - terms["density"][1:]) > 1e-3


def test_estimates_of_log_determinants_follow_from_the_key_of_the_noise():
    options = {"recipe": "residual", "levels": 1, "steps": 1, "hidden": (4,)}
    model = make_image_flow((2, 2, 1), options, levels=4)
    x, keys = np.array([[0, 1], [2, 3]]).reshape(1, 2, 2, 1), jax.random.split(KEY, 1)
    variables = moved(jax.jit(model.init)(KEY, x, KEY), 0.5)
    first, again = (model.apply(variables, x, keys, method="terms") for _ in range(2))
    exact = model.apply(variables, x, keys, method="terms", rngs={})
    assert model.estimate and model.estimates
    assert first["density"] == again["density"] != exact["density"]
    np.testing.assert_allclose(first["density"], exact["density"], atol=1)
    with pytest.raises(UserError, match="no bound, since the estimates' errors"):
        model.apply(variables, x, KEY, samples=2)
    assert not make_image_flow((2, 2, 1), {"recipe": "glow", "levels": 1}).estimate


def test_a_continuous_flow_of_images_has_no_exact_log_determinant(monkeypatch):
    """An exact one takes a pass for each number of an image."""
    asked = []

    def recorded(field, x, direction):
        asked.append(direction is not None)
        return value_and_trace(field, x, direction)

    monkeypatch.setattr(continuous, "value_and_trace", recorded)
    model = make_image_flow((4, 4, 1), {"recipe": "ffjord", "levels": 1, "hidden": 4})
    x = jnp.zeros((2, 4, 4, 1))
    variables = jax.eval_shape(model.init, KEY, x, KEY)
    calls = {"encode": [x], "decode": [x], "sample": [KEY]}
    for method in ("terms", "log_det_parts", "latent_log_probs"):
        calls[method] = [x, KEY]
    for method, given in calls.items():
        asked.clear()
        call = partial(model.apply, method=method)
        jax.eval_shape(call, variables, *given)
        assert asked and all(asked), method
    asked.clear()
    bare, variables = model.flow, {"params": variables["params"]["flow"]}
    jax.eval_shape(partial(bare.apply, method="sample"), variables, KEY)
    assert asked and all(asked)


@pytest.mark.parametrize("masked", [False, True])
def test_learned_noise_takes_images_of_odd_sides(masked):
    noise = {"steps": 1, "net": "gated", "hidden": 2, "masked": masked}
    model = make_image_flow((3, 5, 1), {"recipe": "nice", **SMALL}, noise=noise)
    x = jnp.zeros((2, 3, 5, 1))
    variables = jax.eval_shape(model.init, KEY, x, KEY)
    assert jax.eval_shape(model.apply, variables, x, KEY).shape == (2,)
    sample = partial(model.apply, method="sample", shape=(2,))
    assert jax.eval_shape(sample, variables, KEY).shape == x.shape


@pytest.mark.parametrize("name", [name for name in BASES if name != "von_mises"])
def test_images_have_any_base_on_the_line_by_its_name(name):
    flow = flows.glow((4, 2, 1), base=name, context_dim=3, **SMALL)
    x, context = jax.random.uniform(KEY, (2, 4, 2, 1)), jnp.eye(3)[:2]
    shapes = jax.eval_shape(flow.init, KEY, x, context)
    log_prob = jax.eval_shape(flow.apply, shapes, x, context)
    assert log_prob.shape == (2,) and flow.base.shape == (4, 2, 1)
    if name == "class_conditional":
        assert flow.base.classes == 3


def test_impossible_flows_of_images_get_one_sentence():
    with pytest.raises(
        UserError, match=r"levels=2 needs sides that 4 divides.*28×30 pixels"
    ):
        flows.glow((28, 30, 1), pad=False)
    for shape in ((28, 28), 28):
        with pytest.raises(UserError, match=r"is no shape of images"):
            flows.glow(shape)
    with pytest.raises(UserError, match="naf is a flow of vectors and got event_shape"):
        flows.naf(event_shape=(4, 4, 1))
    with pytest.raises(UserError, match="glow is a flow of images and got event_dim=3"):
        flows.glow(event_dim=3)
    with pytest.raises(UserError, match="give event_dim of vectors, or event_shape of"):
        flows.maf(3, event_shape=(4, 4, 1))
    with pytest.raises(UserError, match="base 'von_mises' has draws within bounds"):
        flows.glow((4, 4, 1), base="von_mises")
    with pytest.raises(UserError, match="prior"):
        flows.glow((4, 4, 1), prior="none")
    with pytest.raises(UserError, match="recipe of images 'maff'"):
        make_image_flow((4, 4, 1), {"recipe": "maff"})
    with pytest.raises(UserError, match="option of recipe 'glow': 'hiden'"):
        make_image_flow((4, 4, 1), {"recipe": "glow", "hiden": 3})
    with pytest.raises(UserError, match="recipe of images None"):
        make_image_flow((4, 4, 1), {"levels": 1})
    with pytest.raises(UserError, match="noise='learned'; expected a Mapping"):
        make_image_flow((4, 4, 1), {"recipe": "glow"}, noise="learned")
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
    assert coupling.limit == 2 * 2 * 2 * 2.0 and (coupling.used < 1).all()
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
