"""Laws of the summations over the classes; tests/test_devices.py runs them on eight.

Every summation has the values and gradients of `dense`, on any number of devices.
"""

import functools
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec as P

from nfml_jax.heads import (
    CosFace,
    CurricularFace,
    ElasticArcFace,
    MarginHead,
    MVArcFace,
    Softmax,
    SubCenterArcFace,
    UniformFace,
)
from nfml_jax.heads.classes import SHARES
from nfml_jax.ops.devices import SPLIT
from nfml_jax.training import sharding
from nfml_jax.training.sharding import AXIS, BY_NAME
from tests.heads.heads_reference import statistics_of

# More classes than one block of padding, divisible by neither devices nor chunks.
B, C, D, CHUNK = 8, 141, 9, 10
ROWS = 2 * SHARES
MARGINS = {
    "softmax": Softmax(),
    "cosface": CosFace(),
    "curricularface": CurricularFace(),
    "mv_arcface": MVArcFace(),
    "subcenter_arcface": SubCenterArcFace(subcenters=2),
    "uniformface": UniformFace(),
    "elastic_arcface": ElasticArcFace(plus=True),
}
ALL = tuple(MARGINS)
ON_FOUR = "cosface", "subcenter_arcface"
# A margin of each kind; the others run by --slow.
QUICK = ALL if "--slow" in sys.argv else (*ON_FOUR, "softmax", "elastic_arcface")
# Compilation takes the time, so that not every margin is tested with every summation.
WAYS = {
    ("dense", 2): ("curricularface", "elastic_arcface"),
    ("streamed", 1): ALL,
    ("sharded", 2): ("softmax", "cosface", "elastic_arcface"),
    ("sharded_streamed", 4): ON_FOUR,
    ("sharded_streamed", 8): tuple(m for m in ALL if m not in ON_FOUR),
}


def head_of(margin, summation="dense", **fields):
    scale = "learned" if isinstance(margin, CosFace) else None
    return MarginHead(
        C, margin, scale, summation=summation, class_chunk=CHUNK, **fields
    )


@functools.cache
def example():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, C, B)
    labels[[1, 2, 3]] = -1, C - 1, labels[0]
    return rng.normal(size=(B, D)), labels, rng.uniform(size=B)


def variables_of(margin):
    """Return variables of a dense head in float64, with statistics of mid-training."""
    rng = np.random.default_rng(1)
    head, given = head_of(margin), map(jnp.asarray, example()[:2])
    shapes = jax.eval_shape(head.init, jax.random.key(0), *given)
    params = {name: rng.normal(size=x.shape) for name, x in shapes["params"].items()}
    statistics = statistics_of(margin, np.float64)
    if "wins" in statistics:
        statistics = {"wins": np.ones((C, margin.subcenters))}
    return {"params": params} | ({"statistics": statistics} if statistics else {})


def filled_up(params, summation):
    """Return parameters with the names and padding rows of a split summation."""
    if not summation.startswith("sharded"):
        return params
    rng = np.random.default_rng(2)

    def fill(x):
        return np.concatenate([x, rng.normal(size=(ROWS - C, *x.shape[1:]))])

    return {
        SPLIT * bool(x.ndim) + name: fill(x) if x.ndim else x
        for name, x in params.items()
    }


@functools.cache
def run(summation, devices):
    """Return gradients of parameters, values and gradients of embeddings by margin."""

    names = [n for n in WAYS.get((summation, devices), ALL) if n in QUICK]
    margins = {name: MARGINS[name] for name in names}

    def of_one(margin, variables, state, x, labels, weight):
        head = head_of(margin, summation, axis_name=AXIS)

        def loss(params_and_x, collections, batch):
            params, x = params_and_x
            labels, weight = batch
            out, changed = head.apply(
                {**collections, "params": params},
                x,
                labels,
                mutable=["statistics"],
                rngs={"margin": jax.random.key(3)},
            )
            logged = {"logged": out.logged, "changed": changed}
            return jnp.mean(weight * out.loss), ({}, logged)

        differentiate = sharding.value_and_grad(loss)
        value, _, logged, grads = differentiate((state, x), variables, (labels, weight))
        return {"value": value, **logged}, grads

    def of_all(params, variables, x, labels, weight):
        found = {
            name: of_one(margin, variables[name], params[name], x, labels, weight)
            for name, margin in margins.items()
        }
        of_params = {name: grads[0] for name, (_, grads) in found.items()}
        rest = {name: (out, grads[1]) for name, (out, grads) in found.items()}
        return of_params, rest

    with jax.enable_x64():
        variables = {name: variables_of(margin) for name, margin in margins.items()}
        params = {
            name: filled_up(v.pop("params"), summation) for name, v in variables.items()
        }
        mapped = sharding.per_device(
            of_all,
            sharding.make_mesh(jax.devices()[:devices]),
            (BY_NAME, P(), P(AXIS), P(AXIS), P(AXIS)),
            (BY_NAME, {name: (P(), P(AXIS)) for name in margins}),
        )
        grads, rest = jax.device_get(mapped(params, variables, *example()))
    for of_params in grads.values():
        for name in [name for name in of_params if name.startswith(SPLIT)]:
            of_classes = of_params.pop(name)
            np.testing.assert_array_equal(of_classes[C:], 0.0)
            of_params[name.removeprefix(SPLIT)] = of_classes[:C]
    return {name: (grads[name], rest[name]) for name in margins}


@pytest.mark.parametrize(
    ("summation", "devices", "margin"),
    [
        pytest.param(*way, margin, marks=[] if margin in QUICK else pytest.mark.slow)
        for way, margins in WAYS.items()
        for margin in margins
    ],
)
def test_every_summation_equals_the_dense_one(summation, devices, margin):
    expected, found = (
        run(*way)[margin] for way in (("dense", 1), (summation, devices))
    )
    jax.tree.map(
        functools.partial(np.testing.assert_allclose, rtol=1e-12, atol=1e-12),
        found,
        expected,
    )
