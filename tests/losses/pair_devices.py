"""Pair losses on two devices equal one device; run by tests/test_devices.py."""

import jax
import numpy as np
from jax.sharding import PartitionSpec as P

from nfml_jax.losses import make_loss
from nfml_jax.training import sharding
from nfml_jax.training.sharding import AXIS

# Losses of more than the matrix of values, with parameters, a memory or a miner.
LOSSES = {
    "quadruplet": {"memory": 10, "memory_start": 1},
    "angular": {},
    "margin": {"miner": "semi_hard"},
}
SIZE, CLASSES, STEPS = 4, 4, 3
RNG = np.random.default_rng(0)
X = RNG.normal(size=(STEPS, 8, SIZE)).astype(np.float32)
LABELS = RNG.integers(-1, CLASSES, (STEPS, 8))


def ones(objective):
    """Return variables of ones, so that two runs start equal."""
    shapes = jax.eval_shape(objective.init, jax.random.key(0), X[0], LABELS[0])
    return jax.tree.map(lambda of: np.ones(of.shape, of.dtype), shapes)


def trained(devices, **options):
    """Return parameters, collections and losses of three steps of all losses."""
    mesh = sharding.make_mesh(jax.devices()[:devices])
    made = {
        name: make_loss(CLASSES, SIZE, name=name, axis_name=AXIS, **own, **options)
        for name, own in LOSSES.items()
    }
    started = {
        name: ones(make_loss(CLASSES, SIZE, name=name, **own))
        for name, own in LOSSES.items()
    }
    params = {name: of.pop("params", {}) for name, of in started.items()}
    params["map"] = np.eye(SIZE, dtype=np.float32) + 0.1

    def loss(params, collections, batch, step):
        x, labels = batch
        losses, after = {}, {}
        for name, objective in made.items():
            variables = {"params": params[name], **collections[name]}
            out, after[name] = objective.apply(
                variables, x @ params["map"], labels, step, mutable=["memory"]
            )
            losses[name] = out.loss
        return sum(losses.values()), (after, losses)

    differentiate = sharding.value_and_grad(loss)

    def step(state, batch, number):
        params, collections = state
        _, collections, losses, grads = differentiate(
            params, collections, batch, number
        )
        params = jax.tree.map(lambda p, g: p - 0.1 * g, params, grads)
        return (params, collections), losses

    # The check of shard_map is on: what leaves has to be the same on all devices.
    mapped = sharding.per_device(step, mesh, (P(), P(AXIS), P()))
    state, history = sharding.replicate((params, started), mesh), []
    for number in range(STEPS):
        batch = sharding.split((X[number], LABELS[number]), mesh)
        state, losses = jax.block_until_ready(mapped(state, batch, np.int32(number)))
        history.append(losses)
    return jax.device_get((state, history))


def test_two_devices_in_chunks_equal_one_device():
    one, two = trained(1), trained(2, chunk=3)
    assert all(loss > 0 for losses in one[1] for loss in losses.values())
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), one, two)
