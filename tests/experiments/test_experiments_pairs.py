"""Metric learning from configs to results, with any objective."""

import importlib
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

import nfml_jax
from experiments import make_experiment, one_shot
from experiments.settings import (
    MarginSettings,
    OneShotSettings,
    PairSettings,
    PictureData,
    PictureSettings,
)
from nfml_jax.cli import identify, outliers, verify
from nfml_jax.data import load
from nfml_jax.errors import UserError
from nfml_jax.heads import MARGINS
from nfml_jax.loading.recognition import make_classifier, make_learner
from nfml_jax.loading.settings import EncoderSettings
from nfml_jax.losses import LOSSES
from nfml_jax.nets import make_net
from nfml_jax.training.loop import train_and_evaluate
from tests.experiments.drawn_sets import write_characters, write_faces
from tests.slow import slow

get_config = importlib.import_module("configs.mnist_losses").get_config

SMALL = {"name": "mlp", "embedding_size": 8, "hidden": (16,)}

quiet = pytest.mark.filterwarnings("ignore:.*as it was pub", "ignore:.* queries share")


def config_of(name, files, folder, **changes):
    config = get_config(f"{name},smoke")
    config.data.update(
        {"manual_dir": str(files), "source": "manual", "data_dir": str(folder)}
    )
    config.encoder = SMALL
    config.update_from_flattened_dict(changes)
    return config.to_dict()


@pytest.fixture(scope="module")
def run(tmp_path_factory, manual_dir):
    """A run with the triplet loss, long enough to learn ten easy classes."""
    path = tmp_path_factory.mktemp("triplet")
    longer = {
        "train.total": "150 steps",
        "train.evaluate_every": "75 steps",
        "train.checkpoint_every": "75 steps",
        "train.steps_per_dispatch": 25,
        "train.log_every": "50 steps",
        "train.report": "best",
        "data.max_train": 0,
        "data.max_test": 0,
    }
    config = config_of("triplet", manual_dir, path / "data", **longer)
    return path / "run", train_and_evaluate(make_experiment, config, path / "run")


@quiet
def test_triplets_gather_classes(run):
    path, outcome = run
    metrics = outcome.result["metrics"]
    assert outcome.status == "done"
    assert metrics["test/accuracy"] > 0.9
    assert metrics["test/knn_accuracy"] > 0.9
    assert metrics["retrieval/recall@1"] > 0.9
    assert metrics["verification/auc"] > 0.9
    logged = (path / "metrics.jsonl").read_text().splitlines()[0]
    for name in ("active", "spread", "positive_distance", "negative_distance"):
        assert f'"train/{name}"' in logged


def test_a_trained_metric_comes_back(run, capsys):
    model = nfml_jax.load(run[0])
    images = np.zeros((3, 28, 28, 1), np.uint8)
    assert model.embed(images).shape == (3, 8)
    assert model.verify(images, images).same.all()
    assert not hasattr(model, "logits")
    assert outliers.main([str(run[0])]) == 2
    assert "has no class weights to measure angles to" in capsys.readouterr().err


@pytest.fixture(scope="module")
def pictures(run, tmp_path_factory, manual_dir):
    """Test images as files, two of each class: class / number.png."""
    folder = tmp_path_factory.mktemp("pictures")
    test = load(name="mnist", source="manual", manual_dir=manual_dir).test
    for label in range(10):
        (folder / str(label)).mkdir()
        for i, image in enumerate(test.images[test.labels == label][:2]):
            Image.fromarray(image[..., 0]).save(folder / str(label) / f"{i}.png")
    return folder


def test_two_pictures_are_verified(run, pictures, tmp_path, capsys):
    path = str(run[0])
    three = str(pictures / "3" / "0.png")
    assert verify.main([path, three, str(pictures / "3" / "1.png")]) == 0
    assert capsys.readouterr().out.startswith("the same: cosine")
    assert verify.main([path, three, str(pictures / "4" / "0.png")]) == 0
    assert capsys.readouterr().out.startswith("not the same")
    assert verify.main([path, three, "nothing.png"]) == 2
    assert "nothing.png cannot be read" in capsys.readouterr().err
    wide = tmp_path / "wide.png"
    Image.new("L", (90, 30)).save(wide)
    assert verify.main([path, three, str(wide)]) == 0
    said = capsys.readouterr().err
    assert said.startswith("warning: ") and "90 by 30 pixels" in said
    wide.write_text("no picture")
    for arguments, sentence in (
        ([path, three, str(wide)], "(it has the format of none)"),
        ([three, three, three], "holds no run"),
    ):
        assert verify.main(arguments) == 2
        assert sentence in capsys.readouterr().err


def test_pictures_are_named_by_a_gallery(run, pictures, tmp_path, capsys):
    gallery = tmp_path / "gallery"
    (tmp_path / "flat").mkdir()
    for name in "0123":
        (gallery / name).mkdir(parents=True)
        shutil.copy(pictures / name / "0.png", gallery / name)
    probes = [str(pictures / name / "1.png") for name in "037"]
    assert identify.main([str(run[0]), str(gallery), *probes]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in lines[:3]] == ["0", "3", "unknown"]
    assert lines[3].startswith("4 names enrolled, threshold ")
    assert identify.main([str(run[0]), str(gallery), *probes, "--fpir=0.2"]) == 0
    assert "4 names enrolled" in capsys.readouterr().out
    assert identify.main([str(run[0]), str(gallery), *probes, "--fpir=0"]) == 2
    capsys.readouterr()
    for name in "03":
        shutil.copy(pictures / name / "0.png", tmp_path / "flat" / f"{name}.png")
    packed = shutil.make_archive(tmp_path / "flat", "zip", tmp_path, "flat")
    assert identify.main([str(run[0]), packed, *probes]) == 0
    flat = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in flat[:2]] == ["0", "3"]
    assert identify.main([str(run[0]), str(tmp_path / "none"), *probes]) == 2
    (tmp_path / "empty").mkdir()
    assert identify.main([str(run[0]), str(tmp_path / "empty"), *probes]) == 2
    assert "holds no picture" in capsys.readouterr().err
    assert identify.main([str(run[0]), str(gallery), str(tmp_path / "empty")]) == 2
    assert "no picture to identify" in capsys.readouterr().err


@quiet
@pytest.mark.parametrize("name", slow(["center", "soft_triple"], ["center"]))
def test_learned_parameters_of_an_objective_are_trained_and_saved(
    name, tmp_path, manual_dir
):
    config = config_of(name, manual_dir, tmp_path / "data")
    outcome = train_and_evaluate(make_experiment, config, tmp_path / "run")
    assert outcome.status == "done"
    learnt = jax.tree.leaves(nfml_jax.load(tmp_path / "run").variables)
    assert len(learnt) > len(jax.tree.leaves(make_variables(make_net(**SMALL))))


def make_variables(net):
    return net.init(jax.random.key(0), jnp.zeros((1, 28, 28, 1)), train=False)


# Faces, below, are of classes that nothing was trained on, too.
@pytest.mark.slow
@quiet
def test_unseen_classes_are_clustered_and_not_named(tmp_path, manual_dir):
    split = {"data.classes": tuple("012345"), "data.held_out": tuple("6789")}
    config = config_of(
        "sup_con",
        manual_dir,
        tmp_path / "data",
        **split,
        **{"encoder.embedding_size": 2},
    )
    outcome = train_and_evaluate(make_experiment, config, tmp_path / "run")
    metrics = outcome.result["metrics"]
    assert not any(name.endswith("accuracy") for name in metrics if "test/" in name)
    assert {"clustering/nmi", "retrieval/map@r", "verification/eer"} <= metrics.keys()
    assert outcome.result["data"]["unseen_classes"] == 4
    assert (tmp_path / "run" / "figures" / "embeddings.png").exists()


# Two views are made by the loss and by the sampler, which have tests of their own.
@pytest.mark.slow
@quiet
def test_two_views_pair_each_image_with_itself(tmp_path, manual_dir):
    config = config_of("sup_con", manual_dir, tmp_path / "data")
    config["objective"] = {"name": "nt_xent"}
    outcome = train_and_evaluate(make_experiment, config, tmp_path / "run")
    assert outcome.status == "done"


@pytest.mark.parametrize("name", ["mnist_losses", "lfw", "omniglot"])
def test_a_config_takes_every_head_and_loss(name):
    module = importlib.import_module(f"configs.{name}")
    for named in MARGINS | LOSSES:
        config = module.get_config(f"smoke,{named}").to_dict()
        if named in MARGINS:
            settings = MarginSettings.of(config)
            trained = make_classifier(settings.encoder, settings.head, 10)
            assert type(trained.head.margin) is MARGINS[named]
        else:
            settings = PairSettings.of(config)
            trained = make_learner(settings.encoder, settings.objective, 10).objective
            assert type(getattr(trained, "loss", trained)) is LOSSES[named]
        assert config["name"].endswith(f"{named}_smoke")
    for table in ("RECIPES", "ON_A_CIRCLE", "ROOMY"):
        assert getattr(module, table, {}).keys() <= (MARGINS | LOSSES).keys()


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"objective": {"name": "tripplet"}}, "triplet"),
        ({"objective": {"name": "triplet", "margine": 0.1}}, "margin"),
        ({"sampler": {"name": "shuffled", "per_class": 5}}, "not a multiple"),
        ({"sampler": {"name": "shuffled", "per_class": 1}}, None),
    ],
)
def test_mistakes_get_a_sentence(changes, words, tmp_path, manual_dir):
    config = config_of("triplet", manual_dir, tmp_path / "data") | changes
    if words is None:
        make_experiment(config)
        return
    with pytest.raises(UserError, match=words):
        train_and_evaluate(make_experiment, config, tmp_path / "run")


def learn(name, files, folder, validation, batch_size):
    """A smoke run of a config of drawn pictures, in a directory of its own."""
    config = importlib.import_module(f"configs.{name}").get_config("smoke")
    config.encoder = SMALL
    config.data.update({"manual_dir": str(files), "validation": validation})
    config.train.batch_size = batch_size
    return train_and_evaluate(make_experiment, config.to_dict(), folder).result


@quiet
def test_faces_are_verified_by_the_pairs_of_the_protocol(tmp_path):
    write_faces(tmp_path)
    result = learn("lfw", tmp_path, tmp_path / "run", validation=2, batch_size=8)
    assert result["data"]["pairs"] == 8
    assert result["data"]["unseen_classes"] == 6
    assert {"verification/accuracy", "clustering/nmi"} <= result["metrics"].keys()
    picture = tmp_path / "lfw" / "Person_A" / "Person_A_0001.png"
    model = nfml_jax.load(tmp_path / "run")
    assert model.crop == result["config"]["data"]["crop"] < 1
    assert model.read(picture).shape == (16, 16, 1)


@quiet
def test_characters_are_learned_from_one_drawing(tmp_path):
    write_characters(tmp_path)
    result = learn("omniglot", tmp_path, tmp_path / "run", validation=1, batch_size=16)
    metrics = result["metrics"]
    # The queries of these runs are the very drawings of the support.
    assert metrics["one_shot/20_way_within_alphabets"] == 1.0
    assert metrics["one_shot/5_way_1_shot"] > 0.3
    assert metrics["one_shot/5_way_1_shot_ci95"] > 0


def test_runs_whose_characters_were_trained_on_are_left_out():
    for split, left_out in {"background": 0, "vinyals": 1, "characters": 1}.items():
        asked = OneShotSettings(runs=True)
        assert len(one_shot.unmeasured(asking(asked, split=split))) == left_out
    assert not one_shot.unmeasured(asking(None))


def asking(asked, **data):
    encoder = EncoderSettings(name="cnn", embedding_size=4)
    data = PictureData(name="omniglot", **data)
    return PictureSettings(data=data, encoder=encoder, one_shot=asked)
