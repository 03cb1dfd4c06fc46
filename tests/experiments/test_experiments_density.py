"""A density experiment from its config to a flow that can be used."""

import importlib
import json
import shutil
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import nfml_jax
from configs import coupling_circles, maf, nsf
from experiments import make_experiment
from nfml_jax.cli import score
from nfml_jax.data.vectors.load import load_vectors
from nfml_jax.errors import UserError
from nfml_jax.training.experiment import Batch
from nfml_jax.training.loop import train_and_evaluate
from nfml_jax.training.setup import Setup
from tests.published_tables import ARRAYS_AS_HDF5, write_photographs, write_published
from tests.slow import slow_but


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


@pytest.fixture(scope="module")
def files(tmp_path_factory, manual_dir):
    """A folder with what the configs read: tables, photographs and digits."""
    folder = write_published(tmp_path_factory.mktemp("files"))
    write_photographs(folder / "photographs.zip")
    shutil.copytree(manual_dir, folder / "mnist")
    np.save(folder / "table.npy", np.random.default_rng(0).normal(size=(400, 3)))
    kinds = "\n".join(
        f"{a},{b},{'abc'[i % 3]}"
        for i, (a, b) in enumerate(np.random.default_rng(0).normal(size=(300, 2)))
    )
    (folder / "kinds.csv").write_text(f"x,y,kind\n{kinds}")
    return folder


def get_config(name, more=""):
    """Return the config FILE:ARGUMENT, with `more` in its argument."""
    file, *argument = name.split(":")
    module = importlib.import_module(f"configs.{file}")
    return module.get_config(",".join([*argument, more]))


def smoke(name, files, **data):
    """The smoke run of a config, on the files."""
    config = get_config(name, "smoke")
    if "manual_dir" in config.data:
        config.data.manual_dir = str(files)
    if "path" in config.data:
        config.data.path = "table.npy"
    if name == "anomaly_vectors":
        config.data.path, config.data.held_out = "kinds.csv", "c"
    if "data_dir" in config.data:
        config.data.data_dir, config.data.source = str(files / "data"), "manual"
    config.data.update(data)
    return config


CONFIGS = (
    *("spline_circles", "coupling_circles", "plane"),
    *("conditional_mnist", "anomaly_mnist", "anomaly_vectors"),
    *(f"maf:{table}" for table in maf.NETWORKS),
    *(f"nsf:{table}" for table in nsf.FLOWS),
)

# One of each kind of data; the others differ in their tables alone.
QUICK = (
    *("spline_circles", "coupling_circles", "plane", "conditional_mnist"),
    *("anomaly_vectors", CONFIGS[6], CONFIGS[-1]),
)


@pytest.mark.filterwarnings("ignore:.*as it was published")
@pytest.mark.parametrize("name", slow_but(CONFIGS, QUICK))
def test_every_config_makes_a_run_that_can_take_a_step(name, files, monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", ARRAYS_AS_HDF5)
    config = smoke(name, files)
    if name.endswith("patches"):
        config.data.update({"train": 100, "validation": 50, "test": 50})
    setup = Setup(make_experiment, config.to_dict(), jax.devices()[:1])
    experiment, key = setup.experiment, jax.random.key(0)
    variables = dict(jax.eval_shape(experiment.init, key))
    rows = jax.tree.map(lambda rows: jnp.asarray(rows[:4]), experiment.train_arrays)
    batch = Batch(rows, jax.random.split(key, 4))
    arguments = variables.pop("params"), variables, batch, 0
    loss, _ = jax.eval_shape(experiment.loss, *arguments)
    assert loss.shape == () and experiment.describe()
    # The config itself asks for what its smoke run leaves out.
    whole = get_config(name)
    assert set(whole.flow) == set(config.flow) and whole.train.report == "best"


def test_a_table_of_one_s_own_runs_to_the_end(files, tmp_path):
    rng = np.random.default_rng(0)
    age, noise = rng.integers(20, 60, 400), rng.normal(size=400)
    lines = [
        f"{i};2020-01-01;{'fm'[i % 2]};{a};{2 * a + x:.2f};{i % 7}".replace(".", ",")
        for i, (a, x) in enumerate(zip(age, noise, strict=True))
    ]
    text = "\n".join(["id;date;sex;age;weight ($);days", *lines])
    (files / "table.csv").write_bytes(text.encode("utf-16"))
    options = {"drop": "id,date", "context": "sex,age", "jitter": "steps"}
    config = smoke("maf", files, path="table.csv", **options).to_dict()
    outcome = train_and_evaluate(make_experiment, config, tmp_path / "run")
    assert outcome.status == "done"
    metrics = outcome.result["metrics"]
    assert all(np.isfinite(list(metrics.values())))
    assert outcome.result["data"]["jitter"] == {"days": 1.0}
    # Given the age, what is left of the weight is noise of a known size.
    weight = np.log(np.std(2 * age)) - 0.5 * np.log(2 * np.pi * np.e)
    days = np.log(np.std(np.arange(7))) - np.log(7)
    assert metrics["gaussian/log_likelihood"] == pytest.approx(weight + days, abs=0.4)
    model = nfml_jax.load(tmp_path / "run")
    rows = model.rows("test")
    assert rows.columns == ("weight ($)", "days") and len(rows.context) == 40
    table = (files / "table.csv").read_text("utf-16").replace(",", ".").split("\n")[1:]
    assert [float(table[i].split(";")[4]) for i in rows.numbers] == list(
        rows.rows[:, 0]
    )
    found = model.log_prob(rows.rows[:2], [["f", 30], ["m", 40]])
    again = model.log_prob(rows.rows[:2], np.array([[0.0, 30], [1, 40]]))
    np.testing.assert_array_equal(found, again)
    with pytest.raises(UserError, match="must be one of f, m"):
        model.log_prob(rows.rows[:1], [["x", 30]])
    # The table that was trained on is scored with its contexts.
    arguments = [str(tmp_path / "run"), str(files / "table.csv")]
    assert score.main([*arguments, f"--output={tmp_path / 'scores.csv'}"]) == 0
    assert len((tmp_path / "scores.csv").read_text().split()) == 401
    assert score.main([*arguments, f"--output={arguments[1]}"]) == 2


def test_a_base_is_given_what_it_learns_by(files):
    config = smoke("maf", files).to_dict()
    config["flow"] = {"recipe": "nice", "layers": 1, "hidden": (8,)}
    config["flow"]["base"] = "resampled"
    experiment = make_experiment(config)
    variables = dict(jax.jit(experiment.init)(jax.random.key(0)))
    params = variables.pop("params")
    variables["acceptance"] = {"base": {"rate": jnp.float32(0.2)}}
    batch = jax.tree.map(lambda rows: rows[:32], experiment.train_arrays)
    keys = jax.random.split(jax.random.key(1), 32)
    loss, (changed, _) = jax.jit(experiment.loss)(
        params, variables, Batch(batch, keys), 0
    )
    assert np.isfinite(loss) and changed.keys() == variables.keys()
    # Half of the draws are kept at first, and the running rate goes there.
    assert 0.2 < changed["acceptance"]["base"]["rate"] < 0.5


def test_data_outside_what_a_flow_can_model_get_a_sentence(files):
    np.save(files / "angles.npy", np.random.default_rng(0).normal(0, 9, (200, 2)))
    config = smoke("nsf", files).to_dict()
    config["data"] |= {"path": "angles.npy", "standardize": False}
    flow = config["flow"]
    config["flow"] = {"recipe": "circular_nsf", "layers": 1}
    with pytest.raises(UserError, match=r"outside \[-3.142, 3.142\]"):
        make_experiment(config)
    # A spline's tails are the identity: no mistake, but worth a word.
    config["flow"] = flow
    (said,) = make_experiment(config).warnings()
    assert "beyond the splines' bound of 3" in said
    config["data"]["path"] = None
    with pytest.raises(UserError, match="give data"):
        make_experiment(config)


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
