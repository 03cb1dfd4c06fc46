"""A saved model gives the outputs of the model, and its folder is data, not code."""

import json
import re
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import nfml_jax
from nfml_jax.errors import UserError
from nfml_jax.flows import make_flow, make_image_flow
from nfml_jax.loading.metrics import LossSettings, make_metric_model
from nfml_jax.loading.pretrained import build
from nfml_jax.loading.recognition import make_classifier, make_learner
from nfml_jax.loading.run import config_of

IMAGE = (4, 4, 1)
ENCODER = {"name": "mlp", "embedding_size": 3, "hidden": (5,)}
HEAD = {"name": "arcface"}
PEOPLE = {"num_classes": 2, "class_names": ["ann", "bob"], "image_shape": [*IMAGE]}
ROWS = {"shift": [1.0, 2.0], "scale": [1.0, 3.0]}
COUPLING = {"recipe": "realnvp", "layers": 1, "hidden": (4,)}
PIXELS = {"recipe": "realnvp", "levels": 1, "steps": 1, "hidden": 4}
RESULT = {
    "name": "a",
    "seed": 3,
    "data": {"name": "faces", "digest": "sha256:1", "source": "/home/ann/faces"},
    "metrics": {"test/accuracy": 0.75, "verification/threshold": 0.375},
    "reported": {"checkpoint": "last", "step": 7},
    "versions": {"jax": "0.10.2"},
}


def classifier():
    config = {"encoder": ENCODER, "head": HEAD, "data": {"manual_dir": "/home/ann/x"}}
    return config, PEOPLE, make_classifier(ENCODER, HEAD, 2), _labeled()


def embedder():
    objective = {"name": "triplet"}
    config = {"encoder": ENCODER, "objective": objective, "data": {}}
    return config, PEOPLE, make_learner(ENCODER, objective, 2), _labeled()


def flow():
    flow = make_flow(event_dim=2, **COUPLING)
    facts = {"event_dim": 2, "context": None} | ROWS
    return {"flow": COUPLING}, facts, flow, (jnp.zeros((1, 2)),)


def metric():
    model = make_metric_model(None, LossSettings("triplet"), 2, 2)
    rows = jnp.zeros((4, 2)), jnp.array([0, 0, 1, 1])
    return {}, ROWS | {"classes": ["a", "b"]}, model, rows


def _labeled():
    return jnp.zeros((4, *IMAGE)), jnp.array([0, 0, 1, 1])


KINDS = {
    "classifier": (classifier, ("embed", "logits")),
    "embedder": (embedder, ("embed",)),
    "flow": (flow, ("log_prob",)),
    "metric": (metric, ("embed",)),
}


def trained(kind):
    config, facts, module, batch = KINDS[kind][0]()
    variables = jax.jit(module.init)(jax.random.key(0), *batch)
    config = {"name": "a", "seed": 3} | config
    meta = {"step": 7, "model": {"loader": kind} | facts}
    return build(config, variables, meta, RESULT, "here")


def inputs(kind):
    rng = np.random.default_rng(0)
    if kind in ("flow", "metric"):
        return rng.normal(size=(5, 2))
    return rng.integers(0, 256, (5, *IMAGE), dtype=np.uint8)


@pytest.mark.parametrize("kind", KINDS)
def test_a_saved_model_has_the_same_outputs_bit_for_bit(kind, tmp_path):
    model = trained(kind)
    folder = model.save_pretrained(tmp_path / "model", license="cc-by-4.0")
    names = {path.name for path in folder.iterdir()}
    assert names == {"README.md", "config.json", "model.safetensors"}
    loaded = nfml_jax.load(folder)
    assert type(loaded) is type(model) and loaded.step == 7
    for method in KINDS[kind][1]:
        mine, theirs = (getattr(m, method)(inputs(kind)) for m in (model, loaded))
        np.testing.assert_array_equal(mine, theirs, strict=True)
    if hasattr(model, "threshold"):
        assert loaded.threshold == model.threshold == 0.375
    assert loaded.save_pretrained(folder) == folder  # an earlier one is replaced
    assert nfml_jax.load(folder).step == 7


# It is saved as flows of vectors are, above.
@pytest.mark.slow
def test_a_saved_flow_of_images_has_the_same_outputs_bit_for_bit(tmp_path):
    noise = {"steps": None}
    config = {"name": "a", "seed": 3, "flow": PIXELS, "noise": noise, "data": {}}
    module = make_image_flow(IMAGE, PIXELS, levels=256, noise=noise)
    images = inputs("pixels")
    variables = jax.jit(module.init)(jax.random.key(0), images, jax.random.key(1))
    facts = {"loader": "pixels", "image_shape": [*IMAGE], "levels": 256}
    model = build(config, variables, {"step": 7, "model": facts}, None, "here")
    loaded = nfml_jax.load(model.save_pretrained(tmp_path / "model"))
    for method in (lambda m: m.encode(images), lambda m: m.sample(0, 2)):
        np.testing.assert_array_equal(method(model), method(loaded), strict=True)
    mine, theirs = (m.bits_per_dim(images).per_image for m in (model, loaded))
    np.testing.assert_array_equal(mine, theirs)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    return trained("classifier").save_pretrained(tmp_path_factory.mktemp("m") / "faces")


def test_the_card_says_what_it_is_how_to_load_it_and_where_it_comes_from(saved):
    card = (saved / "README.md").read_text()
    for words in (
        "library_name: nfml_jax",
        '"image-classification"',
        'nfml_jax.load("faces")',
        "| `test/accuracy` | 0.75 |",
        "| data, digest | sha256:1 |",
        "| seed | 3 |",
        "cosine 0.3750",
        "No license was given",
    ):
        assert words in card
    licensed = trained("flow").save_pretrained(saved.parent / "flow", license="mit")
    assert '\nlicense: "mit"\n' in (licensed / "README.md").read_text()


def test_the_front_matter_is_yaml_of_the_hub(saved):
    yaml = pytest.importorskip("yaml")
    card = (saved / "README.md").read_text()
    facts = yaml.safe_load(card.split("---")[1])
    (entry,) = facts["model-index"]
    (result,) = entry["results"]
    assert result["dataset"] == {"type": "faces", "name": "faces"}
    assert result["metrics"][0] == {"type": "test/accuracy", "value": 0.75}


def test_a_shared_model_names_no_path_of_this_machine(saved):
    texts = [(saved / name).read_text() for name in ("config.json", "README.md")]
    assert not any("/home" in text for text in texts)
    assert config_of(saved)["data"] == {"manual_dir": "x"}


@pytest.mark.parametrize(
    "fields, sentence",
    [
        ({"loader": "os:system"}, "was changed after the model was saved"),
        ({"step": 8}, "was changed after the model was saved"),
        ({"threshold": "no"}, "its threshold is"),
        ({"format": "another"}, "its format is"),
        ({"config": None}, "is no saved model"),
    ],
)
def test_a_changed_config_is_one_sentence(saved, tmp_path, fields, sentence):
    content = json.loads((saved / "config.json").read_text()) | fields
    _refused(saved, tmp_path, "config.json", json.dumps(content).encode(), sentence)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
@pytest.mark.parametrize("damage", ["cut", "empty", "flipped", "absent"])
def test_a_damaged_file_is_one_sentence(saved, tmp_path, name, damage):
    data = (saved / name).read_bytes()
    position = len(data) - 9
    data = {
        "cut": data[: len(data) // 2],
        "empty": b"",
        "flipped": data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :],
        "absent": None,
    }[damage]
    _refused(saved, tmp_path, name, data, "")


def _refused(saved, tmp_path, name, data, sentence):
    for path in saved.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    if data is None:
        (tmp_path / name).unlink()
    else:
        (tmp_path / name).write_bytes(data)
    with pytest.raises(UserError, match=re.escape(sentence) or None) as mistake:
        nfml_jax.load(tmp_path)
    assert "\n" not in str(mistake.value)


def test_a_loader_is_one_of_this_package_even_with_a_matching_digest(saved, tmp_path):
    from nfml_jax.loading.pretrained import _digest

    content = json.loads((saved / "config.json").read_text()) | {"loader": "os:system"}
    content["digest"] = _digest(content)
    data = json.dumps(content).encode()
    _refused(saved, tmp_path, "config.json", data, "loader 'os:system' is not known")


def test_a_run_is_not_overwritten_and_a_model_made_by_hand_has_no_config(tmp_path):
    model = trained("flow")
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(UserError, match="holds a run or another model"):
        model.save_pretrained(tmp_path)
    by_hand = type(model)(model.flow, model.variables, model.shift, model.scale, 1)
    with pytest.raises(UserError, match="was made by hand"):
        by_hand.save_pretrained(tmp_path / "new")


def test_a_model_goes_to_the_hub_and_back_by_its_mixin(saved, tmp_path, monkeypatch):
    """Without network: the two requests of an upload are answered here."""
    hub = pytest.importorskip("huggingface_hub", reason="pip install 'nfml_jax[hub]'")
    from nfml_jax.loading import from_hub, push_to_hub

    class Repository:
        repo_id = "ann/faces"

    def create(self, repo_id, **_):
        assert repo_id == "ann/faces"
        return Repository

    def upload(self, repo_id, folder_path, **_):
        shutil.copytree(folder_path, tmp_path / "hub")
        return "address"

    monkeypatch.setattr(hub.HfApi, "create_repo", create)
    monkeypatch.setattr(hub.HfApi, "upload_folder", upload)
    model = nfml_jax.load(saved)
    assert push_to_hub(model, "ann/faces", license="mit") == "address"
    card = (tmp_path / "hub" / "README.md").read_text()
    assert '\nlicense: "mit"\n' in card and 'load("faces")' in card
    assert hub.ModelCard(card).data.license == "mit"
    images = inputs("classifier")
    for found in (from_hub(str(tmp_path / "hub")), from_hub(str(saved))):
        np.testing.assert_array_equal(found.embed(images), model.embed(images))


def test_the_command_writes_the_folder(saved, tmp_path, capsys):
    from nfml_jax.cli import share

    assert share.main([str(saved), str(tmp_path / "again"), "--license=mit"]) == 0
    assert "To use it" in capsys.readouterr().out
    assert nfml_jax.load(tmp_path / "again").class_names == ("ann", "bob")
