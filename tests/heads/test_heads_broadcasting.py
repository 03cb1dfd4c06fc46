"""Heads and losses work where JAX refuses to promote ranks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nfml_jax.heads import MARGINS, make_head
from nfml_jax.losses import LOSSES, make_loss

CLASSES, SIZE = 4, 6
ROWS = jnp.asarray(np.random.default_rng(0).normal(size=(12, SIZE)), jnp.float32)
LABELS = jnp.arange(12) % CLASSES


@pytest.fixture
def strict():
    """A user who has JAX raise an error for every promotion of ranks."""
    with jax.numpy_rank_promotion("raise"):
        yield


def traced(module, **options):
    """Trace the values, and the gradients with respect to variables and rows."""
    key = jax.random.key(0)

    def value(variables, rows):
        rngs = {name: key for name in ("margin", "mining", "classes")}
        out, _ = module.apply(variables, rows, LABELS, rngs=rngs, mutable=True)
        return out.loss.sum()

    variables = jax.eval_shape(
        lambda: module.init({"params": key, "mining": key}, ROWS, LABELS)
    )
    jax.eval_shape(jax.grad(value, argnums=(0, 1), allow_int=True), variables, ROWS)


# A streamed sum calls every margin alike.
SLOW = pytest.mark.slow
STREAMED = ("softmax", "arcface", "subcenter_arcface")


@pytest.mark.parametrize(
    "name, summation",
    [
        *((name, "dense") for name in MARGINS),
        *(
            pytest.param(name, "streamed", marks=[] if name in STREAMED else [SLOW])
            for name in MARGINS
        ),
    ],
)
def test_heads_work_where_ranks_are_not_promoted(name, summation, strict):
    traced(make_head(CLASSES, SIZE, name=name, summation=summation))


@pytest.mark.parametrize("name", LOSSES)
def test_losses_work_where_ranks_are_not_promoted(name, strict):
    traced(make_loss(CLASSES, SIZE, name=name))
