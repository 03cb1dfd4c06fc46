"""Bijectors on eight devices equal one device; run by tests/test_devices.py."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from nfml_jax.bijectors import LU, ActNorm, Affine, Chain, Coupling, Stack
from nfml_jax.nets.images import GlowNet

COUNT = len(jax.devices())
X = np.random.default_rng(0).normal(3, 2, (2 * COUNT, 4, 3, 4)).astype(np.float32)
X[:2] += 10  # a device's own mean differs from that of all


def stack(memory="keep", axis_name=None):
    net = GlowNet(hidden=4)
    step = ActNorm(axis_name=axis_name), LU(event_ndim=3), Coupling(Affine(), net)
    return Stack(Chain(step), 3, memory)


def mesh():
    return Mesh(np.array(jax.devices()), ("i",))


def close(a, b):
    size = np.abs(b).max() + 1e-3
    np.testing.assert_allclose(a / size, b / size, atol=1e-4)


@pytest.fixture(scope="module")
def variables():
    return jax.jit(stack().init)(jax.random.key(0), X)


def test_there_are_eight_devices():
    assert COUNT == 8


def test_act_norm_in_a_jit_starts_from_the_global_batch(variables):
    sharded = jax.device_put(X, NamedSharding(mesh(), P("i")))
    given = jax.jit(stack().init)(jax.random.key(0), sharded)
    jax.tree.map(close, given, variables)


def test_act_norm_in_a_map_starts_from_the_global_batch(variables):
    init = partial(stack(axis_name="i").init, jax.random.key(0))
    run = jax.shard_map(init, mesh=mesh(), in_specs=P("i"), out_specs=P())
    jax.tree.map(close, jax.jit(run)(X), variables)


@pytest.mark.parametrize("memory", ["keep", "invert"])
def test_gradients_in_a_map_are_those_of_one_device(variables, memory):
    def loss(memory, params, x):
        y, log_det = stack(memory).apply({"params": params}, x)
        return (0.5 * (y**2).sum((1, 2, 3)) - log_det).mean()

    def shared(params, x):
        gradient = jax.grad(lambda p, x: jax.lax.pmean(loss(memory, p, x), "i"))
        return gradient(params, x)

    run = jax.shard_map(shared, mesh=mesh(), in_specs=(P(), P("i")), out_specs=P())
    params = jax.tree.map(lambda p: p + 0.01, variables["params"])
    expected = jax.jit(jax.grad(partial(loss, "keep")))(params, jnp.asarray(X))
    jax.tree.map(close, jax.jit(run)(params, X), expected)
