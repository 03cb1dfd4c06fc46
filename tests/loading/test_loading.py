"""A run directory is data: loading one runs nothing that it names."""

import json
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import nfml_jax
from nfml_jax.errors import UserError
from nfml_jax.flows import make_flow
from nfml_jax.loading import LOADERS, find_loader
from nfml_jax.loading.loaders import EARLIER
from nfml_jax.training.checkpoints import Checkpoints
from nfml_jax.training.step import init_state

FLOW = {"recipe": "realnvp", "layers": 1, "hidden": (4,)}
CONFIG = {"name": "a", "seed": 0, "experiment": "density", "flow": FLOW}
MODEL = {"loader": "flow", "best": None, "event_dim": 2, "context": None}
MODEL |= {"shift": [0.0, 0.0], "scale": [1.0, 2.0]}
META = "checkpoints/1/meta/metadata"


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A run directory with one checkpoint of a flow."""
    path = tmp_path_factory.mktemp("run")
    flow = make_flow(event_dim=2, **FLOW)
    variables = jax.jit(flow.init)(jax.random.key(0), jnp.zeros((1, 2)))
    state = init_state(variables, optax.sgd(0.1), average=False)
    with Checkpoints(path / "checkpoints", write=True) as checkpoints:
        checkpoints.save(1, state, {"model": MODEL})
    (path / "config.json").write_text(json.dumps(CONFIG))
    return path


@pytest.fixture
def run(kept, tmp_path):
    """A copy of it; the function changes fields of one of its files."""
    path = tmp_path / "run"
    shutil.copytree(kept, path)

    def change(file, **fields):
        content = json.loads((path / file).read_text())
        (path / file).write_text(json.dumps(content | fields))
        return path

    return change


def test_loaders_are_known_by_short_names_and_by_those_of_earlier_runs(run):
    assert all(callable(find_loader(name)) for name in LOADERS)
    for earlier, name in EARLIER.items():
        assert find_loader(earlier) is find_loader(name)
    for name in ("flow", "nfml_jax.flows.trained:load_flow"):
        model = nfml_jax.load(run(META, model=MODEL | {"loader": name}))
        assert np.isfinite(model.log_prob(np.zeros((3, 2)))).all()


@pytest.mark.parametrize(
    "loader",
    [
        "runpy:_run_code",
        "os:system",
        "nfml_jax.loading.embedders:json",
        "nfml_jax.loading:load",
        "flow:load",
        "flow ",
        "FLOW",
        ":",
        "",
        "__import__('os')",
        "nfml_jax.flows.trained:load_flow:x",
    ],
)
def test_an_unknown_loader_is_refused_and_never_imported(run, loader):
    with pytest.raises(UserError, match=r"loader .* is not known; known are: class"):
        nfml_jax.load(run(META, model=MODEL | {"loader": loader}))


@pytest.mark.parametrize("loader", [3, ["flow"], {"flow": 1}, True])
def test_a_loader_that_is_not_a_text_is_damage(run, loader):
    with pytest.raises(UserError, match=r"no checkpoint in .* is intact .*loader"):
        nfml_jax.load(run(META, model=MODEL | {"loader": loader}))
    with pytest.raises(UserError, match=r"loader .* is not known"):
        find_loader(loader)


def test_a_config_that_is_a_text_is_not_executed(run, tmp_path):
    flag = tmp_path / "flag"
    path = run(META, model=MODEL | {"loader": "runpy:_run_code"})
    code = f"open({str(flag)!r}, 'w').write('x')"
    (path / "config.json").write_text(json.dumps(code))
    with pytest.raises(UserError, match=r"config\.json is no config of a run"):
        nfml_jax.load(path)
    assert not flag.exists()


def test_a_loader_of_ones_own_is_a_line_in_the_table(run, monkeypatch):
    monkeypatch.setitem(LOADERS, "mine", lambda config, *_: config["name"])
    assert nfml_jax.load(run(META, model={"loader": "mine"})) == "a"


@pytest.mark.parametrize(
    "file, fields",
    [
        ("config.json", {"flow": {"recipe": "realnvpp"}}),
        ("config.json", {"flow": {"recipe": "os:system"}}),
        ("config.json", {"flow": FLOW | {"layers": "many"}}),
        ("config.json", {"flow": FLOW | {"eval": "1"}}),
        ("config.json", {"flow": []}),
        (META, {"model": {"loader": "flow"}}),
        (META, {"model": MODEL | {"loader": "classifier"}}),
        (META, {"model": MODEL | {"loader": "embedder"}}),
        (META, {"model": MODEL | {"loader": "metric"}}),
        (META, {"model": MODEL | {"context": {"names": 1}}}),
        (META, {"model": {}}),
        (META, {"model": []}),
    ],
    ids=str,
)
def test_a_config_that_describes_no_model_gets_a_sentence(run, file, fields):
    with pytest.raises(UserError, match=r"load|flow|intact") as caught:
        nfml_jax.load(run(file, **fields))
    assert "\n" not in str(caught.value)


def test_a_config_without_the_section_of_its_model_gets_a_sentence(run):
    path = run("config.json")
    (path / "config.json").write_text('{"name": "a", "seed": 0}')
    with pytest.raises(UserError, match=r"cannot be loaded: .*flow"):
        nfml_jax.load(path)


def test_a_path_that_is_no_run_directory_gets_a_sentence(run, tmp_path):
    path = run("config.json")
    (tmp_path / "file").write_text("text")
    for place in (tmp_path / "none", tmp_path / "file", tmp_path):
        with pytest.raises(UserError, match="holds no run"):
            nfml_jax.load(place)
    shutil.rmtree(path / "checkpoints")
    with pytest.raises(UserError, match="has no last checkpoint"):
        nfml_jax.load(path)
    (path / "checkpoints").write_text("text")
    with pytest.raises(UserError, match="has no last checkpoint"):
        nfml_jax.load(path)
