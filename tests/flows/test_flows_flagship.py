"""Flows of images whose scales differ, and the config that trains the largest."""

import hashlib
import math

import jax
import jax.numpy as jnp
import pytest

from configs import images
from nfml_jax import flows
from nfml_jax.errors import UserError
from nfml_jax.flows import make_image_flow

KEY = jax.random.key(0)


def _params(flow, *inputs):
    return jax.eval_shape(flow.init, KEY, *inputs)["params"]


def test_scales_differ_in_steps_width_and_depth():
    image = jnp.zeros((1, 8, 8, 1))
    options = {"steps": (2, 3), "hidden": (4, 8), "blocks": (0, 1)}
    flow = flows.flowpp(event_shape=(8, 8, 1), components=2, last_size=1, **options)
    shapes = [p.shape for p in jax.tree.leaves(_params(flow, image)) if p.ndim == 5]
    assert (2, 3, 3, 2, 4) in shapes and (3, 3, 3, 4, 8) in shapes  # first layers
    assert (3, 1, 1, 16, 4 * 8) in shapes  # the last one, of single pixels
    assert not any(shape[1:] == (3, 3, 8, 4) for shape in shapes)  # no block


def test_the_flagship_is_as_large_as_its_config_says():
    config = images.get_config("flagship,mnist").to_dict()
    flow = make_image_flow((28, 28, 1), config["flow"], noise=config["noise"])
    params = _params(flow, jnp.zeros((1, 28, 28, 1)), KEY)
    count = sum(math.prod(p.shape) for p in jax.tree.leaves(params))
    assert f"{count:,} parameters" in " ".join(images.__doc__.split())


def test_the_flagship_s_variables_keep_the_names_of_its_long_training():
    # A checkpoint of that training would not fit others.
    config = images.get_config("flagship,mnist").to_dict()
    flow = make_image_flow((28, 28, 1), config["flow"], noise=config["noise"])
    tree = jax.eval_shape(flow.init, KEY, jnp.zeros((2, 28, 28, 1)), KEY)
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    lines = [f"{jax.tree_util.keystr(p)} {x.shape} {x.dtype}" for p, x in leaves]
    digest = hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()
    assert digest.startswith("dbf9b33e75a978eb")


def test_an_argument_names_a_flow_and_a_set_in_any_order():
    config = images.get_config("fashion_mnist,flagship")
    assert (config.name, config.data.name) == ("images_flagship", "fashion_mnist")
    with pytest.raises(UserError, match="expected one data set, not mnist and digits"):
        images.get_config("glow,mnist,digits")


def test_an_option_takes_one_value_for_each_scale():
    flow = flows.flowpp(event_shape=(4, 4, 1), steps=1, net=("glow", "gated"))
    assert flow.event_shape == (4, 4, 1)
    with pytest.raises(UserError, match=r"hidden=\(4,\) for levels=2"):
        flows.flowpp(event_shape=(4, 4, 1), hidden=(4,))
    with pytest.raises(UserError, match=r"steps=\(1, 1, 1\) for levels=2"):
        flows.flowpp(event_shape=(4, 4, 1), steps=(1, 1, 1))
