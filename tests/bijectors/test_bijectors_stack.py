"""Stacks whose gradients invert their layers: equal gradients, constant memory."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nfml_jax.bijectors import (
    LU,
    ActNorm,
    Affine,
    Chain,
    Coupling,
    Inverse,
    Permutation,
    Stack,
)
from nfml_jax.nets.conditioners import MLP
from nfml_jax.nets.images import GlowNet
from nfml_jax.testing import start


def layer(net, **options):
    parts = ActNorm(), LU(**options), Permutation(), Coupling(Affine(1.0), net)
    return Chain(parts)


def loss(stack, params, constants, x, context):
    variables = {"params": params, "constants": constants}
    y, log_det = stack.apply(variables, x, context)
    return (0.5 * (y**2).sum(tuple(range(1, y.ndim))) - log_det).mean()


@pytest.mark.parametrize(
    "images, inverse",
    [
        (True, False),
        (False, True),
        pytest.param(False, False, marks=pytest.mark.slow),
        pytest.param(True, True, marks=pytest.mark.slow),
    ],
)
def test_gradients_by_inverting_are_those_that_are_kept(images, inverse):
    net = GlowNet(hidden=8) if images else MLP(hidden=(8,))
    shape = (4, 3, 5, 4) if images else (8, 4)
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.normal(size=shape), jnp.float32)
    context = jnp.asarray(rng.normal(size=(len(x), 2)), jnp.float32)
    step = layer(net, event_ndim=3 if images else 1)
    wrap = Inverse if inverse else lambda stack: stack
    keep, invert = (wrap(Stack(step, 6, m)) for m in ("keep", "invert"))
    variables = start(keep, x, context, spread=0.1)
    values = [
        jax.jit(jax.value_and_grad(partial(loss, stack), (0, 2, 3)))(
            variables["params"], variables["constants"], x, context
        )
        for stack in (keep, invert)
    ]
    np.testing.assert_allclose(values[0][0], values[1][0], rtol=1e-5)

    def close(a, b):
        scale = np.abs(a).max() + 1e-6
        np.testing.assert_allclose(b / scale, a / scale, atol=1e-4)

    jax.tree.map(close, *(jax.device_get(v[1]) for v in values))


def compiled(memory, length, x):
    stack = Stack(layer(GlowNet(hidden=8), event_ndim=3), length, memory)
    shapes = jax.eval_shape(stack.init, jax.random.key(0), x)
    gradient = jax.grad(partial(loss, stack))
    arguments = shapes["params"], shapes["constants"], x, None
    return jax.jit(gradient).lower(*arguments).compile()


# The compiler counts the memory of two deep stacks.
@pytest.mark.slow
def test_memory_by_inverting_does_not_grow_with_the_depth():
    x = jax.ShapeDtypeStruct((16, 8, 8, 4), jnp.float32)
    kinds = [("invert", 8), ("invert", 32), ("keep", 32)]
    programs = {kind: compiled(*kind, x) for kind in kinds}
    used = {k: p.memory_analysis().temp_size_in_bytes for k, p in programs.items()}
    assert used["invert", 32] <= 1.3 * used["invert", 8]
    assert used["keep", 32] > 3 * used["invert", 32]
    # Depth is compiled once.
    sizes = [len(programs["invert", n].as_text().splitlines()) for n in (8, 32)]
    assert sizes[0] == sizes[1]


def test_a_network_is_evaluated_once_for_the_inverse_and_the_gradient():
    # Four passes: forward, the networks again, and their two products; keep has three.
    x = jax.ShapeDtypeStruct((4, 4, 4, 4), jnp.float32)
    stack = Stack(layer(GlowNet(hidden=32), event_ndim=3), 4, "invert")
    shapes = jax.eval_shape(stack.init, jax.random.key(0), x)
    arguments = shapes["params"], shapes["constants"], x, None
    forward = partial(loss, stack)
    passes = [
        jax.jit(f).lower(*arguments).compile().cost_analysis()["flops"]
        for f in (forward, jax.grad(forward))
    ]
    assert passes[1] / passes[0] < 4.3


def test_layers_that_draw_or_change_variables_run_in_any_memory():
    x = jnp.ones((4, 6))
    step = Coupling(Affine(), MLP(hidden=(8,), dropout=0.5))
    stack = Stack(step, 3, "invert")
    moved = {"params": start(stack, x, spread=0.5)["params"]}

    @jax.jit
    @jax.value_and_grad
    def total(params, key):
        y, log_det = stack.apply({"params": params}, x, rngs={"dropout": key})
        return y.sum() + log_det.sum()

    keys = jax.random.split(jax.random.key(2))
    # Alike layers draw what they drew: the gradient is that of the value.
    step = 1e-2
    ahead = jax.tree.map(lambda p: p + step, moved["params"])
    values, gradients = zip(*(total(moved["params"], key) for key in keys), strict=True)
    change = total(ahead, keys[0])[0] - values[0]
    along = sum(g.sum() for g in jax.tree.leaves(gradients[0]))
    assert abs(change / step - along) < 0.3 * abs(along) + 0.3
    assert values[0] != values[1]
    assert all(np.isfinite(g).all() for g in jax.tree.leaves(gradients))
    _, seen = stack.apply(moved, x, mutable=["intermediates"])
    assert seen["intermediates"]["layer"]["event"].shape == (3, 4, 6)
