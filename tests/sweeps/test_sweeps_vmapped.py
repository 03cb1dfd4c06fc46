"""Runs trained as one program are the runs that they would be alone."""

import copy
import dataclasses
import functools
import json
import signal

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nfml_jax import heads, losses
from nfml_jax.ops.names import flatten
from nfml_jax.runs import read_run
from nfml_jax.runs.writers import read_metrics
from nfml_jax.sweeps.jobs import Job, begin, run_job
from nfml_jax.sweeps.overrides import make_trials, param, zip_
from nfml_jax.sweeps.vmapped import run_group
from nfml_jax.terminal.terminal import Terminal
from nfml_jax.training.checkpoints import Checkpoints
from nfml_jax.training.loop import train_and_evaluate
from tests.slow import slow
from tests.training.regression import Regression, config

pytestmark = pytest.mark.usefixtures("undrawn")

RATES = (0.05, 0.02)


class Replaceable(Regression):
    """A regression whose numbers can be replaced."""

    def with_config(self, config):
        other = copy.copy(self)
        other.config = config
        return other


def trials(rates=RATES, **changes):
    seeds = range(len(rates))
    sweep = zip_(param("seed", *seeds), param("optimizer.learning_rate", *rates))
    return make_trials(config(**changes), sweep)


def run(folder, group, make=Replaceable, **options):
    """The run directories, and the records."""
    paths = [folder / trial.id for trial in group]
    terminal = Terminal(stream=(folder / "log").open("w"))
    return paths, run_group(make, group, paths, terminal=terminal, **options)


def parameters(path):
    with Checkpoints(path / "checkpoints") as checkpoints:
        return checkpoints.restore_model()


def metrics_without_time(path):
    lines = read_metrics(path / "metrics.jsonl")
    return [{k: v for k, v in line.items() if k != "time"} for line in lines]


def read(path, name):
    return json.loads((path / f"{name}.json").read_text())


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    return run(tmp_path_factory.mktemp("group"), trials(), side_by_side=True)


# tests/experiments compares a group of real runs with single ones.
@pytest.mark.slow
def test_a_run_of_a_group_equals_the_single_run(finished, tmp_path):
    paths, records = finished
    (trial, path, record) = trials()[1], paths[1], records[1]
    alone = train_and_evaluate(Regression, trial.config, tmp_path / "alone").result
    (ours, meta), (theirs, expected) = parameters(path), parameters(tmp_path / "alone")
    jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-5), ours, theirs)
    assert meta["step"] == expected["step"] == 30
    assert meta["leaves"] == expected["leaves"]
    ours, theirs = map(metrics_without_time, (path, tmp_path / "alone"))
    for line, expected in zip(ours, theirs, strict=True):
        assert line == pytest.approx(expected, rel=1e-4)
    # And says all that it would say alone.
    changing = {"wall_s", "cpu_s", "metrics", "group"}
    assert {k: v for k, v in record.items() if k not in {*changing, "status"}} == {
        k: v for k, v in alone.items() if k not in changing
    }
    assert record["metrics"] == pytest.approx(alone["metrics"], rel=1e-4)
    names = {p.relative_to(path).parts[0].split(".out.")[0] for p in path.iterdir()}
    wanted = {p.name.split(".out.")[0] for p in (tmp_path / "alone").iterdir()}
    assert wanted <= names


def test_a_group_shares_its_time_and_says_so(finished):
    paths, records = finished
    assert {r["status"] for r in records} == {"done"}
    assert all(r["wall_s"] > 0 and r["cpu_s"] > 0 for r in records)
    said = {"runs": 2, "differ_in": ["seed", "optimizer.learning_rate"]}
    assert all(r["group"] == said for r in records)
    for path in paths:
        text = (path / "terminal.txt").read_text()
        assert "step 30/30" in text and "test/error" in text
        assert read(path, "status")["status"] == "done"


@pytest.mark.parametrize("side_by_side", slow([True, False], [False]))
def test_a_diverging_run_stops_no_other(tmp_path, side_by_side):
    changes = {"optimizer__name": "sgd", "optimizer__warmup": None}
    changes["train__total"] = "7 steps"
    group = trials((0.05, 3e38), **changes)
    paths, records = run(tmp_path, group, side_by_side=side_by_side)
    assert [r["status"] for r in records] == ["done", "diverged"]
    found = read(paths[1], "status")
    assert found["culprits"] and found["diverged_at"] < 8
    assert "The run diverged" in (paths[1] / "terminal.txt").read_text()
    assert np.isfinite(list(records[0]["metrics"].values())).all()


def test_interrupted_then_resumed_is_uninterrupted(finished, tmp_path):
    stopped = functools.partial(Replaceable, signal_at=2, how=signal.SIGTERM)
    paths, records = run(tmp_path, trials(), stopped, side_by_side=True)
    assert [r["status"] for r in records] == ["interrupted"] * 2
    assert {read(path, "status")["step"] for path in paths} == {12}
    # As if killed while it saved: one of them is at an earlier step.
    (paths[1] / "checkpoints" / "12").rename(paths[1] / "lost")
    _, records = run(tmp_path, trials(), side_by_side=True)
    assert [r["status"] for r in records] == ["done"] * 2
    for path, whole in zip(paths, finished[0], strict=True):
        ours, theirs = parameters(path)[0], parameters(whole)[0]
        close = functools.partial(np.testing.assert_allclose, rtol=1e-5)
        jax.tree.map(close, ours, theirs)
        ours, theirs = map(metrics_without_time, (path, whole))
        assert [line["step"] for line in ours] == [line["step"] for line in theirs]


def test_an_error_of_one_run_ends_that_run_alone(tmp_path):
    class Fragile(Replaceable):
        def report(self, variables, apply):
            if self.config["seed"] == 2:
                raise RuntimeError("broken report")
            return super().report(variables, apply)

    short = {"train__total": "4 steps"}
    group = trials((0.05, -1.0, 0.1), **short)
    paths, records = run(tmp_path, group, Fragile)
    assert [r["status"] for r in records] == ["done", "failed", "failed"]
    assert "expected a number above 0" in read(paths[1], "status")["error"]
    assert "broken report" in read(paths[2], "status")["error"]
    assert "Traceback" in (paths[2] / "terminal.txt").read_text()


def test_experiments_that_cannot_be_joined_run_one_after_another(tmp_path):
    group = trials((0.05, 0.1), train__total="4 steps")
    paths = [tmp_path / trial.id for trial in group]
    job = Job(Regression, tuple(group), tuple(paths))
    begin(job)
    run_job(job)
    assert job.statuses() == ["done"] * 2
    assert all((path / "terminal.txt").exists() for path in paths)
    assert "group" not in read_run(paths[0])


def options_of(kind, names):
    """Values of fields, where they have numbers as defaults."""
    return {
        field.name: field.default
        for field in dataclasses.fields(kind)
        if field.name in names and isinstance(field.default, float)
    }


@pytest.mark.parametrize("name", heads.MARGINS)
def test_every_head_takes_its_traced_numbers(name):
    kind = heads.MARGINS[name]
    names = heads.traced_options({"name": name})
    options = options_of(kind, names)
    if len(kind.numbers()) == 1:
        options["margin"] = 1.5 if name == "sphereface_r" else 0.3
    if kind.normalize_embeddings and not kind.finds_scale:
        options["scale"] = 20.0
    if kind.default_strength is not None:
        options["annealing"] = dataclasses.asdict(kind.default_strength)
    assert set(flatten(options)) <= names

    def loss(numbers, embeddings, labels):
        head = heads.make_head(4, 3, name=name, **numbers)
        variables = head.init(jax.random.key(0), embeddings, labels)
        out = head.apply(variables, embeddings, labels, 5, mutable=list(variables))
        return out[0].loss.mean()

    batch = jax.ShapeDtypeStruct((6, 3), jnp.float32), jnp.zeros(6, jnp.int32)
    values = jax.tree.map(jnp.float32, options)
    assert jax.eval_shape(jax.grad(loss, argnums=1), values, *batch).shape == (6, 3)


@pytest.mark.parametrize("name", losses.LOSSES)
def test_every_loss_takes_its_traced_numbers(name):
    options = options_of(losses.LOSSES[name], losses.traced_options({"name": name}))
    numbers = jax.tree.map(jnp.float32, options)

    def loss(numbers, embeddings, labels):
        objective = losses.make_loss(4, 3, name=name, **numbers)
        keys = {"params": jax.random.key(0), "mining": jax.random.key(1)}
        variables = objective.init(keys, embeddings, labels)
        out, _ = objective.apply(
            *(variables, embeddings, labels, 5), rngs=keys, mutable=list(variables)
        )
        return out.loss

    batch = jax.ShapeDtypeStruct((8, 3), jnp.float32), jnp.arange(8) % 4
    assert jax.eval_shape(jax.grad(loss, argnums=1), numbers, *batch).shape == (8, 3)
