"""A margin and a loss from outside train like those of the package."""

import dataclasses
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from experiments import make_experiment
from experiments.margin import MarginExperiment
from experiments.pairs import PairsExperiment
from nfml_jax.heads import MARGINS
from nfml_jax.heads.margins.margin import Margin, number
from nfml_jax.losses import LOSSES, PairLoss, Row
from nfml_jax.ops.fields import traced
from nfml_jax.runs.writers import read_metrics
from nfml_jax.sweeps.programs import grouped
from nfml_jax.sweeps.vmapped import run_group
from nfml_jax.terminal.terminal import Terminal
from nfml_jax.training.experiment import Report
from nfml_jax.training.loop import train_and_evaluate
from tests.experiments.test_experiments_vmapped import configs

pytestmark = pytest.mark.filterwarnings("ignore:.*as it was pub")


@dataclasses.dataclass(frozen=True)
class Bent(Margin):
    """φ = cos θ - b (1 + cos θ)²."""

    bend: Any = number(0.05)

    def phi(self, cosine):
        return cosine - self.bend * (1.0 + cosine) ** 2


@dataclasses.dataclass(frozen=True)
class Tent(PairLoss):
    """mean [t - cos θ₊]₊ + mean [cos θ₋]₊."""

    top: Any = traced(1.0)
    paper = "none"

    def rows(self, values, positive, negative):
        pulled = jnp.where(positive, jnp.maximum(self.top - values, 0.0), 0.0)
        pushed = jnp.where(negative, jnp.maximum(values, 0.0), 0.0)
        weight = jnp.any(positive, axis=-1).astype(values.dtype)
        return Row(jnp.mean(pulled + pushed, axis=-1), weight)

    def formula(self):
        return f"mean [{self.top:g} - cos θ₊]₊ + mean [cos θ₋]₊"


def last_loss(path):
    lines = read_metrics(path / "metrics.jsonl")
    return [line["train/loss"] for line in lines if "train/loss" in line][-1]


ADDED = {
    "margin": (
        *(MARGINS, Bent, MarginExperiment, "arcface_mnist"),
        {"head.margin": (0.05, 0.2)},
        {"head": {"name": "toy", "margin": 0.05, "scale": "16"}},
    ),
    "loss": (
        *(LOSSES, Tent, PairsExperiment, "mnist_losses"),
        {"objective.top": (1.0, 0.5)},
        {"objective": {"name": "toy", "top": 1.0}},
    ),
}


@pytest.mark.parametrize("added", ADDED)
def test_a_class_and_a_line_train_alone_and_in_one_program(
    added, manual_dir, tmp_path, monkeypatch
):
    table, kind, experiment, config, changes, sections = ADDED[added]
    monkeypatch.setitem(table, "toy", kind)
    monkeypatch.setattr(experiment, "report", lambda *_: Report({"none": 0.0}))
    trials = configs(config, changes, manual_dir, tmp_path, augment={}, **sections)
    (group,) = grouped(trials, mode="on")
    paths = [tmp_path / trial.id for trial in group]
    records = run_group(
        *(make_experiment, group, paths), terminal=Terminal(), side_by_side=True
    )
    assert [record["status"] for record in records] == ["done", "done"]
    alone = tmp_path / "alone"
    train_and_evaluate(make_experiment, group[1].config, alone, terminal=Terminal())
    losses = [last_loss(path) for path in (*paths, alone)]
    np.testing.assert_allclose(losses[1], losses[2], rtol=2e-3)
    assert not np.isclose(losses[0], losses[1], rtol=1e-2)
