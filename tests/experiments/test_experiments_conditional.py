"""A class-conditional flow from its config to a classifier that can be used."""

import dataclasses
import json

import numpy as np
import pytest

import nfml_jax
from configs import anomaly_mnist, nsf
from experiments import make_experiment
from nfml_jax.cli import score
from nfml_jax.data.vectors.load import load_vectors
from nfml_jax.errors import UserError
from nfml_jax.training.loop import train_and_evaluate


@pytest.fixture(scope="module")
def blobs(tmp_path_factory):
    """A table of three normal classes in the plane, the last of them far away."""
    rng = np.random.default_rng(0)
    labels = np.arange(1500) % 3
    centers = np.array([[-2.0, 0.0], [2.0, 0.0], [0.0, 9.0]])
    rows = centers[labels] + rng.normal(size=(1500, 2))
    path = tmp_path_factory.mktemp("blobs") / "blobs.npz"
    np.savez(path, x=np.column_stack([rows, labels]), columns=["a", "b", "kind"])
    return path


def small(config, path, **data):
    """A run of seconds on a table."""
    config.flow = {"recipe": "realnvp", "layers": 2, "hidden": (16,)}
    config.data = {"name": "vectors", "path": str(path), "seed": 0, **data}
    config.train.update(
        {
            "batch_size": 256,
            "total": "300 steps",
            "log_every": "100 steps",
            "evaluate_every": "100 steps",
            "checkpoint_every": "100 steps",
            "steps_per_dispatch": 100,
        }
    )
    config.optimizer.learning_rate = 1e-2
    config.optimizer.warmup = None
    config.report.samples = 200
    return config.to_dict()


@pytest.fixture(scope="module")
def finished(blobs, tmp_path_factory):
    config = small(anomaly_mnist.get_config(), blobs, labels="kind", held_out=("2",))
    path = tmp_path_factory.mktemp("conditional") / "run"
    return path, train_and_evaluate(make_experiment, config, path).result


def test_it_classifies_and_detects_outliers_like_the_true_densities(finished):
    path, result = finished
    metrics = result["metrics"]
    assert all(np.isfinite(list(metrics.values())))
    # The best classifier of two unit normals four apart is right in Φ(2) of all cases.
    assert metrics["test/accuracy"] == pytest.approx(0.977, abs=0.04)
    for name in ("test", "gaussian", "gmm", "mahalanobis", "knn"):
        assert metrics[f"{name}/auroc"] > 0.99
        assert metrics[f"{name}/average_precision"] > 0.99
    # Each class is a normal density: a flow cannot be much better than one.
    for name in ("gaussian", "gmm"):
        best = metrics[f"{name}/log_likelihood"]
        assert metrics["test/log_likelihood"] == pytest.approx(best, abs=0.2)
    assert metrics["test/log_loss"] < 0.2 and metrics["test/calibration_error"] < 0.1
    assert result["data"]["outside"] > 20 and result["data"]["train"] < 900
    figures = {figure.stem for figure in (path / "figures").iterdir()}
    assert {"confusion", "strangers", "marginals"} <= figures


def test_a_trained_flow_classifies_rows_in_their_own_units(finished):
    path, result = finished
    data = load_vectors(**result["config"]["data"])
    model = nfml_jax.load(path)
    x, labels = data.to_original(data.test), data.given["test"]
    posterior = model.posterior(x)
    assert model.classes == ("0", "1") and posterior.shape == (len(x), 2)
    np.testing.assert_allclose(posterior.sum(1), 1)
    accuracy = (posterior.argmax(1) == labels).mean()
    assert accuracy == pytest.approx(result["metrics"]["test/accuracy"], abs=1e-6)
    given = [model.log_prob(x, np.full(len(x), c)) for c in (0, 1)]
    mixture = np.logaddexp.reduce(np.log(data.context.prior)[:, None] + given)
    np.testing.assert_allclose(model.log_prob(x), mixture, rtol=1e-4)
    expected = result["metrics"]["test/log_likelihood"] + data.log_det
    assert model.log_prob(x, labels).mean() == pytest.approx(expected, abs=1e-3)
    strange = model.log_prob(data.to_original(data.outside))
    assert strange.max() < np.median(model.log_prob(x))
    draws = model.sample(0, 300, 1)
    assert draws.shape == (300, 2) and draws[:, 0].mean() > 1
    mixed = model.sample(0, 300)
    assert (mixed[:, 0] > 0).mean() == pytest.approx(0.5, abs=0.15)
    np.testing.assert_allclose(model.sample(0, 5), mixed[:5], atol=1e-4)


def test_the_rows_of_a_run_can_be_had_again(finished, blobs):
    path, result = finished
    model, data = nfml_jax.load(path), load_vectors(**result["config"]["data"])
    whole, seen = np.load(blobs)["x"], []
    for part in ("train", "validation", "test", "outside"):
        rows = model.rows(part)
        # Exactly those of the file, not what float32 leaves of them.
        np.testing.assert_array_equal(rows.rows, whole[rows.numbers, :2])
        assert rows.columns == ("a", "b")
        seen.append(rows.numbers)
        if part != "outside":
            np.testing.assert_array_equal(rows.context, whole[rows.numbers, 2])
    np.testing.assert_array_equal(np.sort(np.concatenate(seen)), np.arange(1500))
    assert (whole[seen[-1], 2] == 2).all() and len(seen[-1]) == 500
    rows = model.rows("test")
    expected = result["metrics"]["test/log_likelihood"] + data.log_det
    found = model.log_prob(rows.rows, rows.context).mean()
    assert found == pytest.approx(expected, abs=1e-4)
    with pytest.raises(UserError, match="did you mean 'test'"):
        model.rows("tests")
    with pytest.raises(UserError, match="other rows than"):
        dataclasses.replace(model, digest="sha256:0").rows()


def test_the_config_that_a_run_keeps_gives_the_same_experiment(finished):
    path, result = finished
    kept = json.loads((path / "config.json").read_text())
    experiment = make_experiment(kept)
    assert experiment.data() == result["data"]
    assert hash(experiment.flow) == hash(nfml_jax.load(path).flow)


def test_a_table_of_new_rows_is_scored(finished, tmp_path, capsys):
    path, _ = finished
    near, far = "0.5,n1,-2\n", "99,n2,-2\n"
    table = tmp_path / "new.csv"
    table.write_text("b,name,a\n" + near + far + "?,n3,2\n" + near + "1e300,n4,0\n")
    output = tmp_path / "scores.csv"
    assert score.main([str(path), str(table), f"--output={output}"]) == 0
    said = capsys.readouterr().out
    assert "1 rows have no score: line 4 (no b)" in said
    assert "strangest are line 6 (-inf), line 3" in said
    assert "does not use: name" in said
    header, *rows = [line.split(",") for line in output.read_text().split()]
    assert header == ["row", "log_density", "percentile", "rank", "class"]
    assert [row[3] for row in rows] == ["3", "2", "", "3", "1"]
    model = nfml_jax.load(path)
    expected = model.log_prob([[-2, 0.5]])[0]
    assert float(rows[0][1]) == pytest.approx(expected, abs=1e-4)
    known = model.log_prob(model.rows("validation").rows)
    percentile = 100 * (known <= expected).mean()
    assert float(rows[0][2]) == pytest.approx(percentile, abs=0.01)
    assert float(rows[1][2]) == 0 and rows[0][4] == "0"
    for text, sentence in {
        "b,c\n1,2\n": "has no column a",
        "a,b\n1,x\n2,3\n": "holds text ('x' in line 2)",
        "a,b\n,2\n": "no row of new.csv has a value",
    }.items():
        table.write_text(text)
        assert score.main([str(path), str(table), f"--output={output}"]) == 2
        assert sentence in capsys.readouterr().err


# Numbers are a context as classes are.
@pytest.mark.slow
def test_a_density_given_numbers_follows_them(tmp_path):
    rng = np.random.default_rng(0)
    given = rng.uniform(5, 7, 2000)
    rows = np.column_stack([10 * given + rng.normal(size=2000), given])
    np.save(tmp_path / "line.npy", rows)
    config = small(nsf.get_config(), tmp_path / "line.npy", context="1")
    result = train_and_evaluate(make_experiment, config, tmp_path / "run").result
    data = load_vectors(**config["data"])
    # Given the number, what is left is normal noise: log p is its negative entropy.
    found = result["metrics"]["test/log_likelihood"] + data.log_det
    assert found == pytest.approx(-0.5 * np.log(2 * np.pi * np.e), abs=0.15)
    for name in ("gaussian", "gmm"):
        beside = result["metrics"][f"{name}/log_likelihood"] + data.log_det
        assert beside == pytest.approx(found, abs=0.15)
    model = nfml_jax.load(tmp_path / "run")
    draws = model.sample(0, 400, [6.0])
    assert draws.mean() == pytest.approx(60, abs=0.5) and draws.std() < 2
    x = np.full((3, 1), 60.0)
    assert model.log_prob(x, np.full((3, 1), 6.0)).shape == (3,)
    mistakes = {
        "give a context": lambda: model.log_prob(x),
        r"expected finite numbers \[N, 1\]: 1": lambda: model.log_prob(x, np.eye(3)),
        "2 contexts for 3 rows": lambda: model.log_prob(x, np.ones((2, 1))),
        r"takes \[N, 1\]": lambda: model.log_prob(np.eye(3), np.ones((3, 1))),
        "1 of 3 rows hold NaN": lambda: model.log_prob(x * [[1], [np.nan], [1]]),
        "isn't class-conditional": lambda: model.posterior(x),
    }
    for sentence, mistake in mistakes.items():
        with pytest.raises(UserError, match=sentence):
            mistake()


MISTAKES = {
    "has no classes to condition on": {},
    "has no column 'sort'": {"labels": "sort"},
    "condition on one of them": {"labels": "kind", "context": ("a",)},
    "must be integers or names": {"labels": "a"},
    "class of vectors:blobs '3' is not known": {"labels": "kind", "held_out": ("3",)},
    "has no classes; leave it empty": {"held_out": ("2",)},
    "held_out names all classes": {"labels": "kind", "held_out": ("0", "1", "2")},
    "components is 7": {"labels": "kind", "components": 7},
}


def test_a_class_of_one_row_gets_a_sentence(tmp_path):
    rows = np.random.default_rng(0).normal(size=(60, 2))
    parts = {
        part: np.column_stack([rows, np.arange(60) % 2]) for part in ("val", "test")
    }
    parts["train"] = parts["test"].copy()
    parts["train"][1::2, 2] = 0
    parts["train"][0, 2] = 1
    np.savez(tmp_path / "lone.npz", **parts)
    config = small(anomaly_mnist.get_config(), tmp_path / "lone.npz", labels="2")
    with pytest.raises(UserError, match=r"class 1 of .* has 1 training rows"):
        make_experiment(config)


@pytest.mark.parametrize("sentence", MISTAKES)
def test_mistakes_get_a_sentence(sentence, blobs):
    config = small(anomaly_mnist.get_config(), blobs, **MISTAKES[sentence])
    with pytest.raises(UserError, match=sentence):
        make_experiment(config)
