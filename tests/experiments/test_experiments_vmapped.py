"""Experiments whose numbers are traced train as those whose numbers are written out."""

import functools
import importlib

import jax
import numpy as np
import pytest

import nfml_jax
from experiments import make_experiment
from experiments.margin import MarginExperiment
from nfml_jax.sweeps.overrides import make_trials, param, zip_
from nfml_jax.sweeps.traced import differing
from nfml_jax.sweeps.vmapped import Group, run_group
from nfml_jax.terminal.terminal import Terminal
from nfml_jax.training.experiment import Report
from nfml_jax.training.loop import train_and_evaluate
from nfml_jax.training.setup import Setup

MLP = {"name": "mlp", "embedding_size": 4, "hidden": (16,)}
SHARED = {"seed": (0, 1), "optimizer.learning_rate": (1e-3, 4e-3)}
STEPS = 4

pytestmark = pytest.mark.filterwarnings("ignore:.*as it was pub")


def configs(name, changes, files, folder, **sections):
    """The smoke configs of two trials, made small."""
    config = importlib.import_module(f"configs.{name}").get_config("smoke").to_dict()
    config |= sections
    config["optimizer"]["warmup"] = None
    config["train"] |= {"steps_per_dispatch": STEPS, "total": f"{STEPS} steps"}
    if "encoder" in config:
        config["encoder"] = MLP
        data = {"manual_dir": str(files), "source": "manual", "data_dir": str(folder)}
        config["data"] |= data
    sweep = zip_(*(param(name, *values) for name, values in changes.items()))
    return make_trials(config, sweep)


def assert_close(ours, theirs):
    close = functools.partial(np.testing.assert_allclose, rtol=2e-3, atol=2e-4)
    jax.tree.map(close, ours, theirs)


def test_margin_runs_of_a_group_equal_single_runs_and_load(
    manual_dir, tmp_path, monkeypatch
):
    monkeypatch.setattr(MarginExperiment, "report", lambda *_: Report({"none": 0.0}))
    changes = SHARED | {
        "head.margin": (0.5, 0.3),
        "head.scale": (24.0, 16.0),
        "optimizer.weight_decay": (0.1, 0.01),
        "optimizer.options.b1": (0.9, 0.8),
    }
    trials = configs("arcface_mnist", changes, manual_dir, tmp_path)
    paths = [tmp_path / trial.id for trial in trials]
    records = run_group(
        *(make_experiment, trials, paths), terminal=Terminal(), side_by_side=True
    )
    assert [r["status"] for r in records] == ["done", "done"]
    alone = tmp_path / "alone"
    train_and_evaluate(make_experiment, trials[1].config, alone, terminal=Terminal())
    images = np.random.default_rng(0).integers(0, 255, (3, 28, 28, 1), np.uint8)
    first, second, lone = (nfml_jax.load(p).logits(images) for p in (*paths, alone))
    assert_close(second, lone)
    assert not np.allclose(first, lone, rtol=1e-2)


@pytest.mark.parametrize(
    "name, changes, sections",
    [
        (
            "mnist_losses",
            {"objective.margin": (0.2, 0.4)},
            {"augment": {}},
        ),
        (
            "plane",
            {"optimizer.clip_norm": (1.0, 0.5)},
            {"flow": {"recipe": "realnvp", "layers": 2, "hidden": (8,)}},
        ),
    ],
)
# The runs of a group, above, are made of such steps.
@pytest.mark.slow
def test_a_step_of_a_group_is_the_steps_of_its_runs(
    name, changes, sections, manual_dir, tmp_path
):
    trials = configs(name, SHARED | changes, manual_dir, tmp_path, **sections)
    both = [trial.config for trial in trials]
    first, alone = (Setup(make_experiment, c, jax.devices()[:1]) for c in both)
    setups = [first.with_config(config) for config in both]
    group = Group(setups, differing(both), side_by_side=True)
    states = [setup.state() for setup in setups]
    assert_close(states[1], alone.state())
    steps = np.int32(STEPS)
    state, metrics = group.dispatch()(group.state(states), steps, *group.data(0))
    expected, values = alone.dispatch()(alone.state(), steps, *alone.data(0))
    assert_close(group.part(state, 1).params, expected.params)
    assert_close({name: v[1] for name, v in metrics.items()}, values)
    assert not np.allclose(metrics["loss"][0], values["loss"], rtol=1e-3)
