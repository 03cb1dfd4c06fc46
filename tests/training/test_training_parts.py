"""The small parts of the training room: durations, schedules, meter, randomness."""

import os
import subprocess
import sys
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nfml_jax.errors import UserError
from nfml_jax.training import pace
from nfml_jax.training.devices import parts_of_share
from nfml_jax.training.durations import Schedule, to_steps
from nfml_jax.training.meter import Diverged, Meter, check_finite
from nfml_jax.training.optimizers import make_optimizer
from nfml_jax.training.randomness import purpose_key, root_key, row_keys
from nfml_jax.training.schedules import SCHEDULES, make_schedule
from nfml_jax.training.settings import OptimizerSettings, TrainSettings
from nfml_jax.training.sharding import make_mesh, replicate
from nfml_jax.training.step import (
    init_state,
    make_dispatch,
    make_step,
    moving_average,
)


@pytest.mark.parametrize(
    "duration, steps",
    [
        ("10 epochs", 150),
        ("1 epoch", 15),
        ("0.5 epochs", 8),
        ("500 steps", 500),
        ("1e3 examples", 16),
        ("1 example", 1),
        (None, 0),
        ("10 epochs, at least 100 steps", 150),
        ("10 epochs, at least 1000 steps", 1000),
    ],
)
def test_durations(duration, steps):
    assert to_steps(duration, batch_size=64, examples=1000, field="x") == steps


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "10",
        "epochs",
        "-1 steps",
        "0 steps",
        "1.2.3 steps",
        "nan steps",
        "never",
        "3e9 steps",
    ],
)
def test_bad_durations_name_the_field(bad):
    with pytest.raises(UserError, match=r"train\.total"):
        to_steps(bad, batch_size=64, examples=1000, field="train.total")


def test_drawn_data_has_no_epochs():
    with pytest.raises(UserError, match="counts epochs, but this experiment draws"):
        to_steps("2 epochs", batch_size=64, examples=0, field="train.total")
    assert to_steps("2 steps", batch_size=64, examples=0, field="train.total") == 2


def test_the_schedule_cuts_at_every_event():
    schedule = Schedule(total=50, log=7, evaluate=20, checkpoint=0)
    events, step = [], 0
    while step < 50:
        step = schedule.next_event(step)
        events.append(step)
    assert events == [7, 14, 20, 21, 28, 35, 40, 42, 49, 50]
    assert [s for s in events if schedule.due(schedule.evaluate, s)] == [20, 40, 50]
    assert [s for s in events if schedule.due(schedule.checkpoint, s)] == [50]


@pytest.mark.parametrize("seconds, most", [(0.001, 32), (0.1, 32), (0.5, 8), (3.0, 1)])
def test_a_dispatch_grows_while_it_is_quick(monkeypatch, seconds, most):
    now, taken, collected = [0.0], [], []

    def dispatch(state, steps):
        # One that computes when it is called, as a device may.
        now[0] += seconds * steps
        taken.append(int(steps))
        return state + steps, {"loss": np.full(32, state)}

    monkeypatch.setattr(pace.time, "monotonic", lambda: now[0])
    dispatches = pace.Dispatches(
        dispatch, 32, lambda first, metrics: collected.append((first, metrics["loss"]))
    )
    step = 0
    for _ in range(15):
        step = dispatches.run(step, step, dispatches.steps)
        assert len(taken) - len(collected) <= 1
    dispatches.drain()
    assert taken[0] == 1 and taken[-1] == most
    assert all(b in (a, 2 * a) for a, b in pairwise(taken))
    assert [first for first, _ in collected] == list(np.cumsum([0, *taken])[:-1])
    assert all(len(loss) == n for n, (_, loss) in zip(taken, collected, strict=True))


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules_warm_up_to_the_rate_and_never_exceed_it(name):
    schedule = make_schedule(name, 0.1, steps=100, warmup_steps=10)
    rates = np.array([schedule(t) for t in range(100)])
    assert rates[0] == pytest.approx(0.01)
    assert rates.max() == pytest.approx(0.1) and rates[10] == pytest.approx(0.1)
    assert (np.diff(rates[:11]) > 0).all() and (np.diff(rates[10:]) <= 1e-9).all()
    assert (rates > 0).all()


def test_the_meter_means_over_steps_and_survives_a_pause():
    whole, first = Meter(), Meter()
    a, b = np.array([1.0, 2.0], np.float32), np.array([6.0], np.float32)
    whole.add(0, {"loss": a})
    whole.add(2, {"loss": b})
    first.add(0, {"loss": a})
    second = Meter(first.pending())
    second.add(2, {"loss": b})
    assert whole.means() == second.means() == {"loss": 3.0}
    whole.add(3, {"loss": b})
    assert whole.means() == {"loss": 6.0}


def test_the_meter_does_not_depend_on_how_steps_were_dispatched():
    values = np.float32(10.0) ** np.linspace(-12, 12, 40, dtype=np.float32)
    means = []
    for length in (1, 7, 40):
        meter = Meter()
        for first in range(0, 40, length):
            meter.add(first, {"loss": values[first : first + length]})
        means.append(meter.means())
    assert means[0] == means[1] == means[2]


def test_parameters_that_are_not_finite_are_named():
    params = {"a": jnp.arange(3), "b": {"c": jnp.ones(2), "d": jnp.array([1, jnp.inf])}}
    check_finite(4, {"c": params["b"]["c"], "a": params["a"]})
    with pytest.raises(Diverged, match="b/d is inf") as caught:
        check_finite(4, params)
    assert (caught.value.step, caught.value.values) == (4, {"b/d": float("inf")})


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_the_meter_names_the_first_bad_step(bad):
    early, late = np.array([1.0, 2.0, bad, bad]), np.array([1.0, 2.0, 3.0, bad])
    with pytest.raises(Diverged) as caught:
        Meter().add(10, {"grad_norm/w": early, "loss": early, "norm": early, "x": late})
    assert caught.value.step == 12
    assert list(caught.value.values) == ["norm", "loss", "grad_norm/w"]


def test_keys_differ_by_purpose_step_and_row_and_by_nothing_else():
    root = root_key(0)
    a, b = purpose_key(root, "order"), purpose_key(root, "loss")
    keys = [
        row_keys(key, jnp.int32(step), jnp.arange(3))
        for key in (a, b)
        for step in (0, 1)
    ]
    data = np.concatenate([jax.random.key_data(k) for k in keys])
    assert len(np.unique(data, axis=0)) == len(data)
    again = row_keys(a, jnp.int32(0), jnp.array([2]))
    assert (jax.random.key_data(again)[0] == jax.random.key_data(keys[0])[2]).all()


def test_the_average_of_constant_parameters_is_constant():
    optimizer = make_optimizer(
        make_schedule("constant", 0.1, steps=100), OptimizerSettings(name="sgd")
    )
    traces = []

    def loss(params, collections, batch, step):
        traces.append(step)
        (x,) = batch.data
        return (params["w"] * 0 * x).mean(), (collections, {})

    mesh = make_mesh(jax.devices()[:1])
    state = replicate(
        init_state({"params": {"w": jnp.ones(3)}}, optimizer, average=True), mesh
    )
    step = make_step(loss, optimizer, key=root_key(0), average_decay=0.9)
    dispatch = make_dispatch(
        step, lambda resident, chunk, at: ((resident[:2],), jnp.arange(2)), mesh, most=4
    )
    chunk, resident = jnp.zeros(()), replicate(jnp.ones((2, 3)), mesh)
    for steps in (4, 1, 3):
        state, metrics = dispatch(state, np.int32(steps), chunk, resident)
        assert metrics["loss"].shape == (4,)
    assert int(state.step) == 8
    np.testing.assert_array_equal(state.variables()["params"]["w"], np.ones(3))
    count = len(traces)
    dispatch(state, np.int32(2), chunk, resident)
    assert len(traces) == count, "another number of steps must not compile again"


def test_statistics_are_averaged_with_the_parameters_and_integers_are_not():
    bound = {"bound": jnp.array([-jnp.inf, jnp.inf])}
    old = {"params": jnp.zeros(2), "statistics": jnp.ones(2), "count": jnp.int32(1)}
    new = {"params": jnp.ones(2), "statistics": jnp.zeros(2), "count": jnp.int32(7)}
    old, new = old | bound, new | bound
    average = moving_average(old, new, 0.75)
    np.testing.assert_allclose(average["params"], 0.25)
    np.testing.assert_allclose(average["statistics"], 0.75)
    np.testing.assert_array_equal(average["bound"], bound["bound"])
    assert average["count"] == 7 and average["count"].dtype == jnp.int32


@pytest.mark.parametrize(
    "accumulate, batch_size, parts",
    [(3, 128, 3), (None, 128, 8), (None, 24, 2), (None, 7, 1)],
)
def test_a_cpu_takes_parts_that_fit_its_cache(accumulate, batch_size, parts):
    settings = TrainSettings(accumulate=accumulate, batch_size=batch_size)
    mesh = make_mesh(jax.devices("cpu")[:1])
    assert parts_of_share(settings, mesh) == parts


def test_a_cpu_is_divided_into_devices():
    script = (
        "from nfml_jax.training.devices import find_devices as find\n"
        "from nfml_jax.training.settings import RunSettings as Settings\n"
        "asked = {'name': 'a', 'experiment': 'b', 'platform': 'cpu'}\n"
        "print(len(find(Settings(**asked, cpu_devices=3))))\n"
        "print(len(find(Settings(**asked, cpu_devices=2))))"  # in use: they stay
    )
    environment = {k: v for k, v in os.environ.items() if k != "XLA_FLAGS"}
    command = [sys.executable, "-c", script]
    output = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert output.stdout.split() == ["3", "3"], output.stderr
