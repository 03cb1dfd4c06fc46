"""A density experiment from its config to a flow that can be used."""

import importlib
import json

import numpy as np
import pytest

import nfml_jax
from configs import coupling_circles
from experiments import make_experiment
from nfml_jax.data.vectors import load_vectors
from nfml_jax.training.loop import train_and_evaluate


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """300 steps of a small spline flow on two circles."""
    config = coupling_circles.get_config("smoke").to_dict()
    config["train"] |= {
        "batch_size": 256,
        "total": "300 steps",
        "log_every": "50 steps",
        "evaluate_every": "100 steps",
        "checkpoint_every": "100 steps",
        "steps_per_dispatch": 50,
    }
    config["optimizer"] |= {"learning_rate": 1e-2, "warmup": "10 steps"}
    path = tmp_path_factory.mktemp("density") / "run"
    return path, train_and_evaluate(make_experiment, config, path).result


@pytest.mark.parametrize("name", ["spline_circles", "coupling_circles"])
def test_every_config_runs(name, tmp_path):
    module = importlib.import_module(f"configs.{name}")
    config = module.get_config("smoke").to_dict()
    outcome = train_and_evaluate(make_experiment, config, tmp_path / "run")
    assert outcome.status == "done"
    assert all(np.isfinite(list(outcome.result["metrics"].values())))


def test_it_learns_more_than_a_normal_density(finished):
    _, result = finished
    vectors = load_vectors(**result["config"]["data"])
    normal = -0.5 * (vectors.test**2).sum(1) - np.log(2 * np.pi)
    assert result["metrics"]["test/log_likelihood"] > normal.mean() + 0.2
    assert 0 < result["metrics"]["test/kl"] < 1


def test_the_run_has_its_figures(finished):
    path, _ = finished
    names = {figure.stem for figure in (path / "figures").iterdir()}
    assert {"samples", "joint", "marginals", "density", "learning_curves"} <= names


def test_load_gives_the_density_in_the_data_s_own_units(finished):
    path, result = finished
    vectors = load_vectors(**result["config"]["data"])
    flow = nfml_jax.load(path)
    ours = flow.log_prob(vectors.to_original(vectors.test)).mean()
    expected = result["metrics"]["test/log_likelihood"] + vectors.log_det
    assert ours == pytest.approx(expected, abs=1e-3)
    draws = flow.sample(0, 500)
    assert draws.shape == (500, 2) and np.hypot(*draws.T).mean() < 1.5
    np.testing.assert_allclose(flow.sample(0, 10), draws[:10], atol=1e-5)


def test_the_result_names_its_data(finished):
    path, result = finished
    saved = json.loads((path / "result.json").read_text())
    assert saved["data"]["name"] == "circles" and saved["data"]["event_dim"] == 2
    assert saved["reported"]["checkpoint"] == "best" and saved == result
