"""The page on other libraries runs as it stands, and bridges keep the values."""

import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from nfml_jax.errors import UserError
from nfml_jax.heads import ArcFace, MarginHead
from nfml_jax.losses import LOSSES, loss_value, make_loss
from tests.slow import slow

PAGE = Path(__file__).parents[1] / "docs" / "interchange.md"
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_each_block_of_the_page_runs(number):
    if "equinox" in BLOCKS[number]:
        pytest.importorskip("equinox")
    exec(compile(BLOCKS[number], f"{PAGE.name}, block {number}", "exec"), {})


def test_a_bridged_head_has_the_values_and_gradients_of_the_module():
    x = jax.random.normal(jax.random.key(0), (6, 4))
    labels = jnp.arange(6) % 3
    head = MarginHead(num_classes=3, margin=ArcFace(0.3), scale=16.0)
    bridged = nnx.bridge.ToNNX(head, rngs=nnx.Rngs(0)).lazy_init(x, labels)
    leaves = jax.tree.leaves(nnx.state(bridged, nnx.Param))
    like = jax.eval_shape(head.init, jax.random.key(0), x, labels)
    params = jax.tree.unflatten(jax.tree.structure(like), leaves)
    np.testing.assert_array_equal(
        bridged(x, labels).loss, head.apply(params, x, labels).loss
    )

    mine = nnx.grad(lambda model: model(x, labels).loss.mean())(bridged)
    theirs = jax.grad(lambda p: head.apply(p, x, labels).loss.mean())(params)
    for a, b in zip(*map(jax.tree.leaves, (mine, theirs)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)


@pytest.mark.parametrize(
    "name", slow(["contrastive", "triplet", "sup_con"], ["triplet", "sup_con"])
)
def test_a_plain_loss_is_that_of_its_module(name):
    x = jax.random.normal(jax.random.key(0), (6, 4))
    labels = jnp.arange(6) % 3
    module = make_loss(3, 4, name=name)
    expected = module.apply({}, x, labels).loss
    np.testing.assert_array_equal(loss_value(name, x, labels), expected)


def test_a_loss_with_parameters_is_refused_as_a_plain_function():
    assert "proxy_anchor" in LOSSES
    x, labels = jnp.ones((2, 4)), jnp.array([0, 0])
    with pytest.raises(UserError, match="learns params; make its module by"):
        loss_value("proxy_anchor", x, labels)
