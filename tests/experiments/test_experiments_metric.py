"""A metric from its config to what can be used, beside those of the learners."""

import numpy as np
import pytest

import nfml_jax
from configs import metric_vectors
from experiments import make_experiment
from nfml_jax.data.vectors.load import load_vectors
from nfml_jax.errors import UserError
from nfml_jax.evaluation.neighbors import knn_accuracy
from nfml_jax.training.loop import train_and_evaluate


def smoke(**changes):
    config = metric_vectors.get_config("smoke")
    config.data.name = "iris"
    config.loss = {"name": "contrastive", "normalize": False, "margin": 2.0}
    config.report.learners = ("euclidean", "covariance")
    config.update_from_flattened_dict(changes)
    return config.to_dict()


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    path = tmp_path_factory.mktemp("metric") / "run"
    return path, train_and_evaluate(make_experiment, smoke(), path).result


def test_all_metrics_are_evaluated_by_their_neighbors(finished):
    path, result = finished
    metrics, config = result["metrics"], result["config"]
    names = {f"{n}/accuracy" for n in ("test", "euclidean", "covariance")}
    assert {name for name in metrics if name.endswith("/accuracy")} == names
    data = load_vectors(**config["data"], seed=config["seed"])
    parts = [(getattr(data, part), data.given[part]) for part in ("train", "test")]
    arguments = [array for part in parts for array in part]
    for name, k in (("accuracy@3", 3), ("accuracy", metrics["euclidean/neighbours"])):
        expected = knn_accuracy(*arguments, int(k), "euclidean")
        assert metrics[f"euclidean/{name}"] == pytest.approx(expected)
    assert metrics["test/accuracy"] > 0.8
    assert result["data"]["classes"] == 3
    assert (path / "figures" / "embeddings.png").exists()


def test_a_trained_metric_measures_rows_in_their_own_units(finished):
    path, result = finished
    config = result["config"]
    metric = nfml_jax.load(path)
    data = load_vectors(**config["data"], seed=config["seed"])
    x = data.to_original(data.test)
    assert metric.classes == ("setosa", "versicolor", "virginica")
    z = metric.embed(x)
    np.testing.assert_allclose(z, data.test @ metric.matrix.T, atol=1e-5)
    np.testing.assert_allclose(
        metric.distance(x[:5], x[5:10]), np.linalg.norm(z[:5] - z[5:10], axis=1)
    )
    with pytest.raises(UserError, match=r"this metric takes \[N, 4\]"):
        metric.embed(x[:, :3])


def test_the_seed_of_the_run_draws_the_split():
    a, b = (make_experiment(smoke(seed=seed)) for seed in (0, 1))
    assert a.data()["digest"] != b.data()["digest"]


def test_a_lower_rank_starts_from_principal_components():
    experiment = make_experiment(smoke(**{"metric.rank": 2}))
    start = experiment._start
    np.testing.assert_allclose(start @ start.T, np.eye(2), atol=1e-6)


def test_classes_of_one_row_get_a_sentence_before_anything_is_trained(tmp_path):
    rows = np.random.default_rng(0).normal(size=(30, 2))
    part = np.column_stack([rows, np.arange(30)])
    np.savez(tmp_path / "lone.npz", train=part, val=part, test=part)
    config = smoke()
    path = str(tmp_path / "lone.npz")
    config["data"] |= {"name": "vectors", "path": path, "labels": "2"}
    with pytest.raises(UserError, match="a metric got 30 rows of 30 classes"):
        make_experiment(config)


MISTAKES = {
    "circles has no classes to learn a metric from": {
        "data": {"name": "circles", "validation": 100, "test": 100},
    },
    "metric learner 'nea' is not known .did you mean 'nca'": {
        "report": {"learners": ("nea",)},
    },
}


@pytest.mark.parametrize("sentence", MISTAKES)
def test_mistakes_get_a_sentence(sentence):
    config = smoke()
    for section, values in MISTAKES[sentence].items():
        config[section] |= values
    with pytest.raises(UserError, match=sentence):
        make_experiment(config)
