"""Every config runs from beginning to end, and what it trained can be used."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

import nfml_jax
from experiments import make_experiment
from nfml_jax import export
from nfml_jax.errors import UserError
from nfml_jax.training.loop import train_and_evaluate

ROOT = Path(__file__).parents[2]
CONFIGS = sorted(
    str(path.relative_to(ROOT / "configs"))
    for path in (ROOT / "configs").rglob("*.py")
    if path.name != "defaults.py"
)


def get_config(name, argument="smoke"):
    spec = importlib.util.spec_from_file_location("config", ROOT / "configs" / name)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.__doc__, f"{name} must say what it is"
    return module.get_config(argument)


def smoke(name, path, manual_dir, **changes):
    config = get_config(name)
    config.data.data_dir = str(path / "data")
    if config.data.name == "image_folder":
        config.data.root = str(image_folder(path / "photos"))
    else:
        config.data.manual_dir = str(manual_dir)
        config.data.source = "manual"
    config.update_from_flattened_dict(changes)
    return train_and_evaluate(make_experiment, config.to_dict(), path / "run")


def image_folder(root):
    from PIL import Image

    rng = np.random.default_rng(0)
    for name in ("ants", "bees", "cats"):
        (root / name).mkdir(parents=True)
        colour = rng.integers(0, 200, 3)
        for i in range(20):
            pixels = colour + rng.integers(0, 55, (20, 24, 3))
            Image.fromarray(pixels.astype(np.uint8)).save(root / name / f"{i}.png")
    return root


@pytest.mark.filterwarnings("ignore:TAR at FAR", "ignore:.*not the published")
@pytest.mark.parametrize("name", CONFIGS)
def test_every_config_runs(name, tmp_path, manual_dir):
    outcome = smoke(name, tmp_path, manual_dir)
    assert outcome.status == "done"
    metrics = outcome.result["metrics"]
    assert 0 <= metrics["test/accuracy"] <= 1
    assert 0 <= metrics["verification/eer"] <= 0.6
    assert all(np.isfinite(list(metrics.values())))
    figures = {path.stem for path in (tmp_path / "run" / "figures").glob("*.png")}
    assert {"confusion", "roc", "target_angles", "learning_curves"} <= figures
    size = outcome.result["config"]["encoder"]["embedding_size"]
    assert ("embeddings" in figures) == (size <= 3)


@pytest.mark.filterwarnings("ignore:TAR at FAR", "ignore:.*not the published")
def test_bfloat16_accumulation_average_and_batch_norm_together(tmp_path, manual_dir):
    outcome = smoke(
        "arcface_folder.py",
        tmp_path,
        manual_dir,
        **{"encoder.dtype": "bfloat16", "train.accumulate": 2, "train.batch_size": 16},
        **{"train.average_decay": 0.9, "train.report": "best", "head.warmup_steps": 2},
    )
    assert outcome.status == "done"
    model = nfml_jax.load(tmp_path / "run", "best")
    leaves = jax.tree.leaves(model.variables)
    assert "batch_stats" in model.variables
    assert {leaf.dtype.name for leaf in leaves} == {"float32"}
    assert model.embed(np.zeros((1, 16, 16, 3), np.uint8)).dtype == np.float32


@pytest.fixture(scope="module")
def trained(tmp_path_factory, manual_dir):
    path = tmp_path_factory.mktemp("trained")
    outcome = smoke(
        "arcface_mnist.py",
        path,
        manual_dir,
        **{"train.total": "100 steps", "train.checkpoint_every": "50 steps"},
        **{"train.evaluate_every": "50 steps", "optimizer.learning_rate": 3e-3},
        **{"train.average_decay": 0.5, "head.margin": 0.2},
    )
    return path / "run", outcome


def test_it_learns(trained):
    _, outcome = trained
    assert outcome.result["metrics"]["test/accuracy"] > 0.9
    assert outcome.result["data"]["name"] == "mnist_custom"


@pytest.fixture
def images():
    return np.random.default_rng(1).integers(0, 256, (5, 28, 28, 1)).astype(np.uint8)


def test_load_gives_the_model_back(trained, images):
    path, outcome = trained
    model = nfml_jax.load(path)
    embeddings = model.embed(images)
    assert embeddings.shape == (5, 64) and model.logits(images).shape == (5, 10)
    np.testing.assert_allclose(model.embed(images[..., 0]), embeddings, rtol=1e-6)
    np.testing.assert_allclose(model.embed(images[2:3])[0], embeddings[2], rtol=1e-4)
    assert model.threshold == outcome.result["metrics"]["verification/threshold"]
    cosine, same = model.verify(images, images)
    np.testing.assert_allclose(cosine, 1.0, atol=1e-6)
    assert same.all()
    cosine, same = model.verify(images[:4], images[1:])
    unit = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    np.testing.assert_allclose(cosine, (unit[:4] * unit[1:]).sum(1), atol=1e-5)
    np.testing.assert_array_equal(same, cosine >= model.threshold)


def test_load_the_best(trained):
    path, _ = trained
    assert nfml_jax.load(path, "best").step <= nfml_jax.load(path).step == 100


def test_the_export_embeds_without_this_package(trained, images, tmp_path, capsys):
    path, _ = trained
    assert export.main([str(path), "--output", str(tmp_path / "embed.jax")]) == 0
    assert "jax.export.deserialize" in capsys.readouterr().out
    np.save(tmp_path / "images.npy", images)
    code = (
        "import sys, jax, numpy as np\n"
        "artifact = jax.export.deserialize(bytearray(open('embed.jax', 'rb').read()))\n"
        "np.save('out.npy', artifact.call(np.load('images.npy')))\n"
        "assert not any(m.startswith(('nfml_jax', 'flax')) for m in sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, timeout=120)
    expected = nfml_jax.load(path).embed(images)
    np.testing.assert_allclose(np.load(tmp_path / "out.npy"), expected, rtol=1e-4)
    note = json.loads((tmp_path / "embed.json").read_text())
    assert note["output"] == ["N", 64] and set(note["platforms"]) >= {"cpu", "cuda"}


def test_wrong_images_get_a_sentence(trained, images):
    model = nfml_jax.load(trained[0])
    with pytest.raises(UserError, match=r"takes uint8 \[N, 28, 28, 1\]"):
        model.embed(images / 255.0)
    with pytest.raises(UserError, match=r"takes uint8 \[N, 28, 28, 1\]"):
        model.embed(images[:, :20])
    with pytest.raises(UserError, match="5 and 4 images"):
        model.verify(images, images[1:])


@pytest.mark.parametrize("content", [{}, {"config.json": "{"}, {"config.json": "{}"}])
def test_a_folder_that_is_no_run_gets_a_sentence(tmp_path, content, capsys):
    for name, text in content.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(UserError, match=r"config\.json|checkpoint"):
        nfml_jax.load(tmp_path)
    assert export.main([str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith("error: ")


@pytest.mark.parametrize(
    "changes, sentence",
    [
        ({"head.margin": 2.5}, "margin=2.5; expected"),
        ({"encoder.embedding_size": 1}, "embedding size is 1"),
        ({"encoder.name": "cn"}, "cnn"),
        ({"head.name": "arcfaze"}, "arcface"),
        ({"data.name": "mnits"}, "mnist"),
        ({"data.manual_dir": "/nowhere"}, "/nowhere"),
        ({"experiment": "margn"}, "margin"),
        ({"data.validation": 2.5}, "validation"),
    ],
)
def test_mistakes_get_a_sentence(tmp_path, manual_dir, changes, sentence):
    with pytest.raises(UserError, match=sentence):
        smoke("arcface_mnist.py", tmp_path, manual_dir, **changes)


def test_the_same_classifier_on_the_same_key(manual_dir, tmp_path):
    config = get_config("arcface_mnist.py")
    config.data.manual_dir = str(manual_dir)
    config.data.data_dir = str(tmp_path)
    experiment = make_experiment(config.to_dict())
    a, b = experiment.init(jax.random.key(0)), experiment.init(jax.random.key(0))
    jax.tree.map(np.testing.assert_array_equal, a, b)
    assert set(a["params"]) == {"encoder", "head"}
