"""The cost of a step, the speed of a run, and the trace of some of its steps."""

import gzip
import json
import re

import jax
import numpy as np
import pytest
from jax import lax
from jax.sharding import PartitionSpec as P
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from nfml_jax.errors import UserError
from nfml_jax.ops.units import format_flops
from nfml_jax.runs.writers import read_metrics
from nfml_jax.training import profiling, sharding
from nfml_jax.training.cost import Counted
from nfml_jax.training.loop import train_and_evaluate
from nfml_jax.training.profiling import Span
from nfml_jax.training.rates import Rates
from tests.training.regression import Regression, config

W = np.full((16, 16), 0.1, np.float32)
PRODUCT = 2 * 16**3


def counted(step):
    mesh = sharding.make_mesh(jax.devices()[:1])
    mapped = sharding.per_device(step, mesh, (P(), P()), checked=False)
    return Counted(mapped, mesh, W, np.int32(1))


def test_all_iterations_of_a_loop_count():
    def layers(rounds):
        def body(x, _):
            inner = lax.scan(lambda y, _: (y @ y, None), x, None, length=3)[0]
            return lax.pmean(inner @ x, sharding.AXIS), None

        def step(x, steps):
            turn = lambda _, x: lax.scan(body, x @ x, None, length=rounds)[0]  # noqa: E731
            return lax.fori_loop(0, steps, turn, x)

        return step

    one, five = counted(layers(1)), counted(layers(5))
    assert one.flops == pytest.approx(5 * PRODUCT, rel=0.05)
    assert five.flops == pytest.approx(21 * PRODUCT, rel=0.05)


def test_nothing_is_compiled_twice():
    compiled = []

    def listen(event, _, **more):
        compiled.append(event) if "backend_compile" in event else None

    jax.monitoring.register_event_duration_secs_listener(listen)
    dispatch = counted(lambda x, steps: x @ x + steps)
    assert not compiled
    first = dispatch(W, np.int32(1))
    np.testing.assert_array_equal(dispatch(W, np.int32(1)), first)
    assert len(compiled) == 1


def test_rates_start_anew():
    rates = Rates(batch_size=10, flops=1e6)
    rates.add(4, 2.0, 0.5)
    rates.add(4, 2.0, 0.5)
    assert rates.since() == {
        "pace/examples_per_second": 20.0,
        "pace/input_wait": 0.25,
        "pace/flops_per_second": 2e6,
    }
    rates.add(1, 1.0)
    assert rates.since()["pace/input_wait"] == 0.0
    assert rates.input_wait == 0.2


def test_operations_in_words():
    words = {812.0: "812 FLOP", 2.354e9: "2.35 GFLOP", 9.999e5: "1 MFLOP"}
    assert {flops: format_flops(flops) for flops in words} == words
    assert format_flops(4e19, "/s") == "4e+04 PFLOP/s"


@pytest.mark.parametrize("text", ["", "5", "5:", "8:8", "9:8", "-1:4", "a:b", "1:2:3"])
def test_a_span_of_steps_is_two_numbers(text):
    with pytest.raises(UserError, match=re.escape(f"--profile={text} is not START")):
        Span.parse(text)


def test_a_traced_run_is_the_run(tmp_path, capsys):
    settings = config(train__total="12 steps")
    whole, traced = tmp_path / "whole", tmp_path / "traced"
    with pytest.raises(UserError, match="goes beyond the 12 steps"):
        train_and_evaluate(Regression, settings, traced, profile=Span(8, 13))
    assert not traced.exists()
    train_and_evaluate(Regression, settings, traced, profile=Span.parse("5:7"))
    said = capsys.readouterr().out
    assert f"The trace is in {traced}" in said
    assert re.search(r"arithmetic +\d.* FLOP a step|arithmetic +\d.*kFLOP a step", said)
    train_and_evaluate(Regression, settings, whole)
    files = {path.name: path for path in (traced / "plugins/profile").rglob("*")}
    assert any(name.endswith(".xplane.pb") for name in files)
    with gzip.open(files["perfetto_trace.json.gz"], "rt") as file:
        events = json.load(file)["traceEvents"]
    steps = [e["args"]["step_num"] for e in events if e.get("name") == profiling.STEP]
    assert sorted(steps) == ["5", "6"]
    assert not (whole / "plugins").exists()
    losses = [
        [line.get("train/loss") for line in read_metrics(path / "metrics.jsonl")]
        for path in (whole, traced)
    ]
    assert losses[0] == losses[1]
    scalars = EventAccumulator(str(whole)).Reload()
    speed = scalars.Scalars("pace/flops_per_second")
    assert [point.step for point in speed] == [4, 8, 12] and speed[-1].value > 0
