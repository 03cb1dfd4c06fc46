"""Classes and data from outside train like those of the package.

That is a margin, a loss, a bijector in a recipe, pictures, and rows of a table.
"""

import dataclasses
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import multivariate_normal

import nfml_jax
from configs import plane
from experiments import make_experiment
from experiments.density import DensityExperiment
from experiments.margin import MarginExperiment
from experiments.pairs import PairsExperiment
from nfml_jax.bijectors import ActNorm, Bijector, Reverse
from nfml_jax.bijectors.bijector import zero_log_det
from nfml_jax.data import DATASETS, Loaded, Split
from nfml_jax.data.vectors import VECTOR_DATASETS, LoadedVectors
from nfml_jax.flows import RECIPES
from nfml_jax.flows.recipes.stacked import passes_options_to, stacked
from nfml_jax.heads import MARGINS
from nfml_jax.heads.margins.margin import Margin, number
from nfml_jax.losses import LOSSES, PairLoss, Row
from nfml_jax.ops.fields import traced
from nfml_jax.runs.writers import read_metrics
from nfml_jax.sweeps.programs import grouped
from nfml_jax.sweeps.vmapped import run_group
from nfml_jax.terminal.terminal import Terminal
from nfml_jax.testing import check_bijector
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


class Shear(Bijector):
    """y₁ = x₁ and y_i = x_i + a_i x₁."""

    def forward_and_log_det(self, x, context=None):
        return x + self._shift(x), zero_log_det(x)

    def inverse_and_log_det(self, y, context=None):
        return y - self._shift(y), zero_log_det(y)

    @nn.compact
    def _shift(self, x):
        slope = self.param("slope", nn.initializers.zeros, x.shape[-1:])
        return (slope.at[0].set(0) * x[..., :1]).astype(x.dtype)


@passes_options_to(stacked)
def sheared(event_dim, *, layers=2, **options):
    """Shears in turn, after each coordinate is scaled."""
    layer = [ActNorm(), Shear(), Reverse()]
    return stacked(event_dim, layer, layers=layers, **options)


def bars(*, seed=0):
    """Return pictures of ten patterns of bars, under noise."""

    def part(count, seed):
        labels = np.arange(count, dtype=np.int32) % 10
        noise = np.random.default_rng(seed).integers(0, 99, (count, 4, 4, 1))
        bright = labels[:, None, None, None] >> np.arange(4)[:, None] & 1
        return Split((noise + 99 * bright).astype(np.uint8), labels)

    names = tuple("0123456789")
    return Loaded("bars", "drawn", names, part(400, seed), part(40, seed + 1))


def ellipse(*, seed=0, width=2.0):
    """Return points of a normal distribution whose coordinates depend on each other."""
    mix = np.array([[width, width], [0.0, 1.0]])
    rows = np.random.default_rng(seed).normal(size=(900, 2)) @ mix
    parts = rows[:600], rows[600:700], rows[700:]
    return LoadedVectors("ellipse", "drawn", ("x", "y"), *parts)


def last_loss(path):
    lines = read_metrics(path / "metrics.jsonl")
    return [line["train/loss"] for line in lines if "train/loss" in line][-1]


ADDED = {
    "margin": (
        *(MARGINS, Bent, MarginExperiment, "arcface_mnist"),
        {"head.margin": (0.05, 0.2)},
        {"head": {"name": "toy", "margin": 0.05, "scale": 16.0}},
    ),
    "loss": (
        *(LOSSES, Tent, PairsExperiment, "mnist_losses"),
        {"objective.top": (1.0, 0.5)},
        {"objective": {"name": "toy", "top": 1.0}},
    ),
}


# Losses differ from margins in their traced numbers: tests/sweeps has those of all.
@pytest.mark.parametrize(
    "added", [pytest.param(added, marks=pytest.mark.slow) for added in ADDED]
)
def test_a_class_and_a_line_train_alone_and_in_one_program(
    added, tmp_path, monkeypatch
):
    table, kind, experiment, config, changes, sections = ADDED[added]
    monkeypatch.setitem(table, "toy", kind)
    monkeypatch.setitem(DATASETS, "bars", bars)
    monkeypatch.setattr(experiment, "report", lambda *_: Report({"none": 0.0}))
    data = {"name": "bars", "seed": 1, "validation": 0.1}
    sections = sections | {"augment": {}, "data": data}
    trials = configs(config, changes, tmp_path, tmp_path, **sections)
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


def test_a_bijector_in_a_recipe_trains_on_rows_from_outside(tmp_path, monkeypatch):
    check_bijector(Shear(), np.random.default_rng(0).normal(size=(4, 3)), eager=False)
    monkeypatch.setitem(RECIPES, "toy", sheared)
    monkeypatch.setitem(VECTOR_DATASETS, "ellipse", ellipse)
    monkeypatch.setattr(DensityExperiment, "report", lambda *_: Report({"none": 0.0}))
    config = plane.get_config("smoke").to_dict()
    config |= {
        "flow": {"recipe": "toy", "layers": 2},
        "data": {"name": "ellipse", "seed": 0, "standardize": True, "width": 3.0},
    }
    config["optimizer"] |= {"learning_rate": 0.05, "warmup": None}
    config["train"] |= {"total": "60 steps", "steps_per_dispatch": 60, "batch_size": 64}
    config["train"] |= {"log_every": "60 steps", "evaluate_every": "60 steps"}
    train_and_evaluate(make_experiment, config, tmp_path / "run", terminal=Terminal())
    trained = nfml_jax.load(tmp_path / "run")
    rows = ellipse(width=3.0).test
    exact = multivariate_normal(cov=np.array([[9.0, 9.0], [9.0, 10.0]])).logpdf(rows)
    np.testing.assert_allclose(trained.log_prob(rows).mean(), exact.mean(), atol=0.1)
