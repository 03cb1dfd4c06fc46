"""Every config runs from beginning to end, and what it trained can be used."""

import json
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from absl import flags
from ml_collections import config_flags

import nfml_jax
from experiments import make_experiment
from experiments.margin import MarginExperiment
from nfml_jax import plots
from nfml_jax.cli import draw as gallery
from nfml_jax.cli import export, outliers
from nfml_jax.cli.command_line import read_config
from nfml_jax.data import load
from nfml_jax.data.arrays import Split, make_image_data
from nfml_jax.errors import UserError
from nfml_jax.evaluation import class_angles
from nfml_jax.heads import TargetProbability, make_head
from nfml_jax.loading import run as loading_run
from nfml_jax.runs.writers import read_metrics
from nfml_jax.training.loop import train_and_evaluate

ROOT = Path(__file__).parents[2]
MLP = {"name": "mlp", "embedding_size": 2, "hidden": (32,)}


def get_config(name):
    """Return the smoke form of a config, FILE.py or FILE.py:ARGUMENT."""
    smoke = ",smoke" if ":" in name else ":smoke"
    return read_config([f"--config={ROOT / 'configs' / name}{smoke}"])


# lfw.py is left out: its pictures are made in test_experiments_pairs.py.
HEADS = (
    *("softmax", "l2_softmax", "normface", "l_softmax", "sphereface", "sphereface_r"),
    *("cosface", "arcface", "combined", "subcenter_arcface"),
)
SLOW = [pytest.mark.slow]
CONFIGS = (
    "folder.py",
    # tests/launch and tests/readme run it, too.
    pytest.param("arcface_mnist.py", marks=SLOW),
    pytest.param("arcface_mnist.py:fashion_mnist", marks=SLOW),
    # Every head has laws of its own, tests/launch reads all configs, and `trained` is a
    # run in the plane.
    *(pytest.param(f"mnist_2d.py:{head}", marks=SLOW) for head in HEADS),
)

few_pairs = pytest.mark.filterwarnings("ignore:TAR at FAR", "ignore:.*as it was pub")


def smoke(name, path, manual_dir, encoder=None, **changes):
    config = get_config(name)
    config.data.data_dir = str(path / "data")
    if config.data.name == "image_folder":
        config.data.root = str(image_folder(path / "photos"))
    else:
        config.data.manual_dir = str(manual_dir)
        config.data.source = "manual"
    if encoder:
        config.encoder = encoder
    config.update_from_flattened_dict(changes)
    return train_and_evaluate(make_experiment, config.to_dict(), path / "run")


def image_folder(root, part="", count=20):
    from PIL import Image

    rng = np.random.default_rng(0)
    for name in ("ants", "bees", "cats"):
        (root / part / name).mkdir(parents=True)
        color = rng.integers(0, 200, 3)
        for i in range(count):
            pixels = color + rng.integers(0, 55, (20, 24, 3))
            picture = Image.fromarray(pixels.astype(np.uint8))
            picture.save(root / part / name / f"{i}.png")
    return root


@few_pairs
@pytest.mark.parametrize("name", CONFIGS)
def test_every_config_runs(name, tmp_path, manual_dir, request):
    if name == "arcface_mnist.py":
        request.getfixturevalue("drawn")
    outcome = smoke(name, tmp_path, manual_dir, MLP)
    assert outcome.status == "done"
    metrics = outcome.result["metrics"]
    assert {"test/accuracy", "test/knn_accuracy", "angles/intra"} <= metrics.keys()
    assert 0 <= metrics["verification/eer"] <= 0.6
    assert all(np.isfinite(list(metrics.values())))
    figures = {path.stem for path in (tmp_path / "run" / "figures").glob("*.png")}
    assert {"confusion", "roc", "det", "target_angles", "learning_curves"} <= figures
    size = outcome.result["config"]["encoder"]["embedding_size"]
    assert ("embeddings" in figures) == (size <= 3)


# Each has laws of its own in tests/training and tests/nets.
@pytest.mark.slow
@few_pairs
def test_bfloat16_accumulation_average_and_batch_norm_together(tmp_path, manual_dir):
    small = MLP | {"embedding_norm": True, "dtype": "bfloat16"}
    outcome = smoke(
        "folder.py",
        tmp_path,
        manual_dir,
        small,
        **{"train.accumulate": 2, "train.batch_size": 16, "train.average_decay": 0.9},
        **{"train.report": "best", "head.warmup_steps": 2},
    )
    assert outcome.status == "done"
    model = nfml_jax.load(tmp_path / "run")
    leaves = jax.tree.leaves(model.variables)
    assert "batch_stats" in model.variables
    assert {leaf.dtype.name for leaf in leaves} == {"float32"}
    assert model.embed(np.zeros((1, 16, 16, 3), np.uint8)).dtype == np.float32


@pytest.fixture(scope="module")
def trained(tmp_path_factory, manual_dir):
    """A run in the plane that reports its best checkpoint, and its outcome."""
    path = tmp_path_factory.mktemp("trained")
    outcome = smoke(
        "mnist_2d.py:arcface",
        path,
        manual_dir,
        MLP,
        **{"train.total": "400 steps", "train.checkpoint_every": "100 steps"},
        **{"train.evaluate_every": "100 steps", "train.report": "best"},
        **{"train.steps_per_dispatch": 50, "train.log_every": "100 steps"},
        **{"data.max_train": 0, "data.max_test": 0, "head.warmup_steps": 100},
    )
    return path / "run", outcome


@few_pairs
def test_outliers_are_listed_and_left_out(trained, tmp_path, capsys):
    path, outcome = trained
    listed = tmp_path / "odd.json"
    arguments = [str(path), "--degrees", "5", "--output", str(listed)]
    assert outliers.main(arguments) == 0
    model, data = nfml_jax.load(path), loading_run.data_of(path)
    embeddings, labels = model.embed(data.train.images), data.train.labels
    far = class_angles.target_angles(embeddings, model.class_weights, labels) > 5
    assert 0 < far.sum() < len(far)
    said = f"{far.sum():,} of {len(far):,} training images lie more than 5°"
    assert capsys.readouterr().out.startswith(said)
    fewer = load(**outcome.result["config"]["data"] | {"without": str(listed)})
    np.testing.assert_array_equal(fewer.train.labels, labels[~far])


@few_pairs
def test_it_learns(trained):
    _, outcome = trained
    assert outcome.result["metrics"]["test/accuracy"] > 0.9
    assert outcome.result["data"]["name"] == "mnist_custom"
    assert outcome.result["model"]["softmax"] == "all classes"


@pytest.fixture
def images():
    return np.random.default_rng(1).integers(0, 256, (5, 28, 28, 1)).astype(np.uint8)


def test_load_gives_the_model_back(trained, images):
    path, outcome = trained
    model = nfml_jax.load(path)
    embeddings = model.embed(images)
    assert embeddings.shape == (5, 2) and model.logits(images).shape == (5, 10)
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


def test_any_number_of_images_is_embedded(trained, images):
    model = nfml_jax.load(trained[0])
    many = np.concatenate([images] * 103)  # 515: two chunks and three images
    expected = np.concatenate([model.embed(images)] * 103)
    np.testing.assert_allclose(model.embed(many), expected, rtol=1e-4, atol=1e-5)
    none = images[:0]
    assert model.embed(none).shape == (0, 2) and model.logits(none).shape == (0, 10)
    assert model.verify(none, none).same.shape == (0,)


def test_load_takes_what_was_reported_and_knows_the_best_from_the_last(trained, images):
    path, outcome = trained
    accuracy = {
        line["step"]: line["validation/accuracy"]
        for line in read_metrics(path / "metrics.jsonl")
        if "validation/accuracy" in line
    }
    best = outcome.result["reported"]["step"]
    assert accuracy[best] == max(accuracy.values())
    assert best < 400, "the last must not be the best for this test to mean anything"
    assert nfml_jax.load(path).step == nfml_jax.load(path, "best").step == best
    last = nfml_jax.load(path, "last")
    assert last.step == 400
    with pytest.raises(UserError, match="no threshold"):
        last.verify(images, images)
    with pytest.raises(UserError, match="choose 'reported', 'last' or 'best'"):
        nfml_jax.load(path, "first")


def test_the_export_embeds_without_this_package(trained, images, tmp_path, capsys):
    path, _ = trained
    # Not even a name that looks like the note's makes the note replace the artifact.
    assert export.main([str(path), "--output", str(tmp_path / "embed.json")]) == 0
    assert "jax.export.deserialize" in capsys.readouterr().out
    np.save(tmp_path / "images.npy", images)
    code = (
        "import sys, jax, numpy as np\n"
        "content = bytearray(open('embed.json', 'rb').read())\n"
        "artifact = jax.export.deserialize(content)\n"
        "np.save('out.npy', artifact.call(np.load('images.npy')))\n"
        "assert not any(m.startswith(('nfml_jax', 'flax')) for m in sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, timeout=120)
    model = nfml_jax.load(path)
    expected = model.embed(images)
    np.testing.assert_allclose(np.load(tmp_path / "out.npy"), expected, rtol=1e-4)
    note = json.loads((tmp_path / "embed.json.json").read_text())
    assert note["output"] == ["N", 2] and set(note["platforms"]) >= {"cpu", "cuda"}
    assert note["step"] == model.step and note["threshold"] == model.threshold
    missing = str(tmp_path / "no" / "embed.jax")
    assert export.main([str(path), "--output", missing]) == 2
    assert "give another --output" in capsys.readouterr().err


def test_a_model_without_image_embeddings_is_not_exported(monkeypatch, capsys):
    monkeypatch.setattr(loading_run, "load", lambda *_: object())
    assert export.main(["a_flow"]) == 2
    assert "embeds no images" in capsys.readouterr().err


@few_pairs
def test_a_gallery_has_a_panel_for_each_run_of_the_runs_own_data(
    trained, tmp_path, capsys, monkeypatch
):
    path, outcome = trained
    run, picture = str(path), tmp_path / "gallery.png"
    drawn = []
    draw = plots.embedding_gallery
    monkeypatch.setattr(
        plots, "embedding_gallery", lambda *a: drawn.append(a[0]) or draw(*a)
    )
    assert gallery.main([run, run, "--output", str(picture)]) == 0
    assert picture.read_bytes().startswith(b"\x89PNG")
    ((first, second),) = drawn
    assert first[0] == second[0] == "arcface: cos(θ + 0.2)"
    assert first[1].shape == (200, 2) and first[3].shape == (10, 2)
    assert gallery.main([run, "--output", str(tmp_path / "no" / "x.png")]) == 2
    assert "give another --output" in capsys.readouterr().err
    changed = dict.fromkeys(("digest", "fingerprint"), "sha256:0")
    other = outcome.result | {"data": outcome.result["data"] | changed}
    monkeypatch.setattr(loading_run, "read_result", lambda run: other)
    assert gallery.main([run]) == 2
    assert "was evaluated on mnist_custom" in capsys.readouterr().err


def test_wrong_images_get_a_sentence(trained, images):
    model = nfml_jax.load(trained[0])
    with pytest.raises(UserError, match=r"takes uint8 \[N, 28, 28, 1\]"):
        model.embed(images / 255.0)
    with pytest.raises(UserError, match=r"takes uint8 \[N, 28, 28, 1\]"):
        model.embed(images[:, :20])
    with pytest.raises(UserError, match="5 and 4 images"):
        model.verify(images, images[1:])


@pytest.mark.parametrize("counts", [(20, 1), (1, 2)])
def test_metrics_that_cannot_be_measured_are_announced_and_left_out(tmp_path, counts):
    for part, count in zip(("train", "val"), counts, strict=True):
        image_folder(tmp_path, part, count)
    config = get_config("folder.py")
    config.data.root, config.encoder = str(tmp_path), MLP
    experiment = make_experiment(config.to_dict())
    said = " ".join(experiment.warnings())
    assert "no verification/*" in said and "two images" in said
    assert ("test/knn_accuracy" in said) == (counts[0] == 1)
    variables = jax.jit(experiment.init)(jax.random.key(0))
    apply = lambda function, *given: np.asarray(function(*given))  # noqa: E731
    report = experiment.report(variables, apply)
    assert {"test/accuracy", "angles/intra"} <= report.metrics.keys()
    assert not any(name.startswith("verification") for name in report.metrics)
    assert ("test/knn_accuracy" in report.metrics) == (counts[0] > 1)
    assert "roc" not in report.figures and "confusion" in report.figures


def test_the_projector_shows_every_class_of_an_ordered_set():
    labels = np.repeat(np.arange(10), 300).astype(np.int32)
    split = Split(np.zeros((3000, 1, 1, 1), np.uint8), labels)
    experiment = object.__new__(MarginExperiment)
    experiment.images = make_image_data("x", "made up", "abcdefghij", split, split)
    rows, names, pictures = experiment._projected(np.arange(3000))
    assert len(rows) == len(names) == len(pictures) == 2000
    assert names == ["abcdefghij"[labels[row]] for row in rows]
    assert {names.count(name) for name in "abcdefghij"} == {200}


def parsed(name, *overrides):
    """The config as launch.py reads it from a command line."""
    values = flags.FlagValues()
    command = ["launch.py", f"--config={ROOT / 'configs' / name}", *overrides]
    config = config_flags.DEFINE_config_file(
        "config", flag_values=values, sys_argv=command
    )
    values(command)
    return config.value.to_dict()


@pytest.mark.parametrize(
    ("text", "scale"),
    [
        ("24", 24.0),
        ("3e1", 30.0),
        ("learned", "learned"),
        ("p=0.99", TargetProbability(0.99)),
    ],
)
def test_every_kind_of_scale_can_be_given_on_the_command_line(text, scale):
    head = parsed("arcface_mnist.py", f"--config.head.scale={text}")["head"]
    assert make_head(10, 64, **head).scale == scale


def test_a_combined_margin_needs_all_its_numbers_on_the_command_line():
    override = "--config.head.margin={}".format
    head = parsed("mnist_2d.py:combined", override("(1.2, 0.1, 0.2)"))["head"]
    assert make_head(10, 2, **head).margin.m1 == 1.2
    head = parsed("mnist_2d.py:combined", override("1.2"))["head"]
    with pytest.raises(UserError, match="expected 3 numbers"):
        make_head(10, 2, **head)


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
        ({"encoder.embedding_size": 1}, "embedding_size=1; expected"),
        ({"encoder.name": "cn"}, "cnn"),
        ({"head.name": "arcfaze"}, "arcface"),
        ({"data.name": "mnits"}, "mnist"),
        ({"data.manual_dir": "/nowhere"}, "/nowhere"),
        ({"experiment": "margn"}, "margin"),
        ({"data.validation": 2.5}, "validation"),
        ({"data.validation": float("nan")}, "validation"),
        ({"data.seed": -1}, r"data\.seed"),
        ({"data.name": "image_folder"}, "give data.root=FOLDER"),
    ],
)
def test_mistakes_get_a_sentence(tmp_path, manual_dir, changes, sentence):
    with pytest.raises(UserError, match=sentence):
        smoke("arcface_mnist.py", tmp_path, manual_dir, **changes)


@few_pairs
def test_the_same_classifier_on_the_same_key(manual_dir, tmp_path):
    config = get_config("arcface_mnist.py")
    config.data.manual_dir, config.data.data_dir = str(manual_dir), str(tmp_path)
    config.encoder = MLP
    init = [jax.jit(make_experiment(config.to_dict()).init) for _ in range(2)]
    a, b, c = (init[i](jax.random.key(seed)) for i, seed in ((0, 0), (1, 0), (1, 1)))
    jax.tree.map(np.testing.assert_array_equal, a, b)
    assert set(a["params"]) == {"encoder", "head"}
    weights = [variables["params"]["head"]["weights"] for variables in (a, c)]
    assert not np.array_equal(*weights)
