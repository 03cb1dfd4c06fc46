"""Laws of several devices, run by tests/test_devices.py where there are two."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.sharding import PartitionSpec as P

from nfml_jax.training import sharding
from nfml_jax.training.experiment import Report
from nfml_jax.training.feeds import ResidentFeed
from nfml_jax.training.inference import BatchedApply
from nfml_jax.training.loop import train_and_evaluate
from nfml_jax.training.sharding import AXIS
from tests.training.regression import Regression, config

BATCH = {"x": np.linspace(-1, 1, 24, dtype=np.float32).reshape(8, 3)}
PARAMS = {"w": np.array([[1.0, 2.0], [0.5, -1.0], [-2.0, 0.3]], np.float32)}
COLLECTIONS = {
    "mean": np.zeros((), np.float32),
    "order": np.array([2, 0, 1], np.int32),
}


def loss(params, collections, batch, factor):
    y = jnp.tanh(batch["x"][:, collections["order"]] @ params["w"]) * factor
    mean = 0.9 * collections["mean"] + 0.1 * lax.pmean(y.mean(), AXIS)
    return (y**2).mean(), ({**collections, "mean": mean}, {"y": y.mean()})


def step(state, batch, accumulate=1):
    params, collections = state
    differentiate = sharding.value_and_grad(loss, accumulate=accumulate)
    value, collections, metrics, grads = differentiate(params, collections, batch, 2.0)
    params = jax.tree.map(lambda p, g: p - 0.1 * g, params, grads)
    return (params, collections), {"loss": value, **metrics}


@functools.cache
def run(devices, step=step, checked=True):
    mesh = sharding.make_mesh(jax.devices()[:devices])
    mapped = sharding.per_device(step, mesh, (P(), P(AXIS)), checked=checked)
    state = sharding.replicate((PARAMS, COLLECTIONS), mesh)
    for _ in range(3):
        state, metrics = jax.block_until_ready(
            mapped(state, sharding.split(BATCH, mesh))
        )
    return jax.device_get((state, metrics))


def assert_close(a, b, tolerance=1e-6):
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, atol=tolerance), a, b)


def test_there_are_two_devices():
    assert jax.device_count() == 2


def test_same_as_jax_pmap():
    if not hasattr(jax, "pmap"):
        pytest.skip("this jax has no pmap any more")

    @functools.partial(jax.pmap, axis_name=AXIS, in_axes=(None, 0), out_axes=None)
    def pmapped(state, batch):
        params, collections = state
        (value, (collections, metrics)), grads = jax.value_and_grad(loss, has_aux=True)(
            params, collections, batch, 2.0
        )
        value, metrics, grads, mean = lax.pmean(
            (value, metrics, grads, collections["mean"]), AXIS
        )
        collections = {**collections, "mean": mean}
        params = jax.tree.map(lambda p, g: p - 0.1 * g, params, grads)
        return (params, collections), {"loss": value, **metrics}

    state = (PARAMS, COLLECTIONS)
    rows = jax.tree.map(lambda x: x.reshape(2, 4, *x.shape[1:]), BATCH)
    for _ in range(3):
        state, metrics = jax.block_until_ready(pmapped(state, rows))
    assert_close(jax.device_get((state, metrics)), run(2))


def test_one_device_equals_two():
    one, two = run(1), run(2)
    assert_close(one, two)
    order = two[0][1]["order"]
    np.testing.assert_array_equal(order, COLLECTIONS["order"])
    assert order.dtype == np.int32


def test_checked_equals_unchecked():
    assert_close(run(2), run(2, checked=False))


def test_accumulated_equals_full_batch():
    # The collection sees one part after the other, so only the rest is compared.
    (whole, _), metrics = run(2)
    (parts, _), part_metrics = run(2, functools.partial(step, accumulate=2))
    assert_close((whole, metrics), (parts, part_metrics))


def test_a_forgotten_average_is_refused():
    def forgetful(state, batch):
        params, collections = state
        (_, (_, metrics)), grads = jax.value_and_grad(loss, has_aux=True)(
            sharding.varying(params), sharding.varying(collections), batch, 2.0
        )
        return (jax.tree.map(lambda p, g: p - g, params, grads), collections), metrics

    with pytest.raises(Exception, match=r"replicat|vary"):
        run(2, forgetful)


def test_a_feed_gives_two_devices_what_it_gives_one():
    arrays = {"x": np.arange(30), "y": np.arange(30) * 2}

    def batches(devices):
        mesh = sharding.make_mesh(jax.devices()[:devices])
        feed = ResidentFeed(arrays, 8, jax.random.key(1), mesh)
        take = sharding.per_device(feed.take, mesh, (P(), P(), P()), (P(AXIS), P(AXIS)))
        return [
            jax.device_get(take(feed.resident, feed.chunk(step), step))
            for step in range(7)
        ]

    assert_close(batches(1), batches(2), 0)


def test_without_data_a_run_on_one_device_is_the_run_on_two(tmp_path):
    class Drawn(Regression):
        def __init__(self, config):
            super().__init__(config)
            self.x, self.y = self.train_arrays.values()
            self.train_arrays = None

        def loss(self, params, collections, batch, step):
            assert batch.data is None
            rows = jax.vmap(lambda key: jax.random.randint(key, (), 0, 50))(batch.keys)
            drawn = {"x": jnp.take(self.x, rows, 0), "y": jnp.take(self.y, rows, 0)}
            return super().loss(params, collections, batch._replace(data=drawn), step)

        def validate(self, variables, apply):
            return Report()

        def report(self, variables, apply):
            return Report({"w": float(variables["params"]["head"]["w"].sum())})

    every = {f"train__{name}_every": "5 steps" for name in ("log", "evaluate")}
    changes = every | {"train__total": "12 steps", "train__checkpoint_every": None}
    one, two = (
        train_and_evaluate(
            Drawn,
            # Two devices choose their parts themselves.
            config(num_devices=n, train__accumulate=2 if n == 1 else None, **changes),
            tmp_path / f"{n}",
        ).result["metrics"]["w"]
        for n in (1, 2)
    )
    assert one == pytest.approx(two, rel=1e-5) and one != 0


def test_batched_apply_over_devices():
    mesh = sharding.make_mesh()
    apply = BatchedApply(mesh, batch_size=7)
    x = np.arange(33, dtype=np.float32).reshape(11, 3)
    shares = []

    def scaled(a, x):
        shares.append(x.shape)
        return a * x

    np.testing.assert_array_equal(apply(scaled, 2.0, x), 2 * x)
    assert shares == [(4, 3)]
    # A parameter that the devices share among them: all its rows are seen.
    split = {sharding.SPLIT: np.arange(6, dtype=np.float32).reshape(2, 3)}
    total = apply(lambda a, x: x + a[sharding.SPLIT].sum(0), split, x)
    np.testing.assert_array_equal(total, x + np.array([3, 5, 7]))


def test_a_run_on_one_device_is_the_run_on_two(tmp_path):
    places = []

    class Placed(Regression):
        def report(self, variables, apply):
            places.append(jnp.zeros(()).devices())
            return super().report(variables, apply)

    # What names no device belongs on those of the run, not on the machine's default.
    with jax.default_device(jax.devices()[1]):
        one, two = (
            train_and_evaluate(
                Placed,
                config(
                    num_devices=n,
                    train__accumulate=2,
                    train__average_decay=0.9,
                    train__checkpoint_every=None,
                ),
                tmp_path / f"{n}",
            ).result
            for n in (1, 2)
        )
    assert places == [{jax.devices()[0]}] * 2
    error = "test/error"
    assert one["metrics"][error] == pytest.approx(two["metrics"][error], rel=1e-5)
    assert two["device"].startswith("2 ×")


def test_batch_not_divisible_by_devices(tmp_path):
    with pytest.raises(ValueError, match=r"batch_size = 7 .* multiple of 2"):
        train_and_evaluate(Regression, config(train__batch_size=7), tmp_path)
