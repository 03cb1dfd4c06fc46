"""The experiment on images, from its config to a trained flow."""

import dataclasses
import inspect
import json
from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image

import nfml_jax
from configs import images, images_table
from experiments import make_experiment
from experiments.images import context_of
from nfml_jax import cli
from nfml_jax.data.pixels import PIXEL_DATASETS, load_pixels
from nfml_jax.errors import UserError
from nfml_jax.runs.migrations import up_to_date
from nfml_jax.runs.records import find_results
from nfml_jax.training.loop import train_and_evaluate
from tests.flows.filled import filled

KEPT = Path(__file__).parents[2] / "results" / "images_table"
FLAGSHIP = KEPT.parent / "images_flagship"


@pytest.mark.parametrize("name", PIXEL_DATASETS)
def test_the_config_of_a_set_has_every_option_of_its_own(name):
    data = images.get_config(f"glow,{name}").data
    options = inspect.signature(PIXEL_DATASETS[name]).parameters.values()
    own = {option.name for option in options if option.default is not option.empty}
    assert data.name == name and own <= set(data)
    if name == "image_folder":
        data.image_size = "8x12"  # a number, or a text of two
        assert images.get_config(f"glow,{name},smoke").data.image_size is None


def test_a_config_sums_blocks_of_pixels_to_more_levels():
    config = images.get_config("glow,digits,smoke")
    config.data.sum_blocks = 2
    experiment = make_experiment(config.to_dict())
    assert experiment.levels == 4 * 16 + 1 and experiment.event_shape == (4, 4, 1)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """60 steps of a small flow, with learned noise, on digits of 17 levels."""
    config = images.get_config("glow,smoke").to_dict()
    config["data"] |= {"name": "digits", "max_train": None, "max_test": 100}
    config["flow"] |= {"levels": 1, "steps": 2, "hidden": 16}
    config["noise"] |= {"steps": 1, "hidden": 4}
    config["report"] |= {"importance": 2, "samples": 4}
    config["train"] |= {"total": "60 steps", "steps_per_dispatch": 20}
    config["train"] |= dict.fromkeys(["evaluate_every", "checkpoint_every"], "60 steps")
    config["optimizer"] |= {"learning_rate": 1e-2}
    path = tmp_path_factory.mktemp("images") / "run"
    return path, train_and_evaluate(make_experiment, config, path).result


@pytest.fixture(scope="module")
def digits():
    return load_pixels("digits", seed=0).test[:70]


def test_a_flow_beats_a_histogram_in_sixty_steps(finished):
    path, result = finished
    metrics = result["metrics"]
    assert metrics["test/bits_per_dim"] < metrics["histogram/bits_per_dim"]
    assert metrics["test/bits_per_dim"] < metrics["uniform/bits_per_dim"]
    terms = [value for name, value in metrics.items() if name.startswith("terms/")]
    assert sum(terms) == pytest.approx(metrics["test/bits_per_dim"])
    assert metrics["test/round_trip"] == 0
    drawn = {file.stem for file in (path / "figures").glob("*.png")}
    figures = {"samples", "reconstructions", "nearest", "interpolation", "bits"}
    assert figures | {"log_dets", "learning_curves"} <= drawn
    assert 0 < metrics["log_det/4x4x4/used"] < 1
    assert metrics["samples/not_finite"] == 0
    assert result["data"]["levels"] == 17


def test_a_class_conditional_flow_classifies_by_the_bits_of_each_class():
    config = images.get_config("glow,smoke").to_dict() | {"class_conditional": True}
    config["data"] |= {"name": "digits", "max_train": 100, "max_test": 20}
    config["flow"] |= {"levels": 1, "hidden": 4}
    config["report"] |= {"importance": 2, "samples": 4}
    experiment = make_experiment(config)
    context = experiment.model()["context"]
    assert context["classes"] == tuple("0123456789")
    assert "given one of 10 classes" in experiment.describe()["flow"]
    variables = filled(jax.eval_shape(experiment.init, jax.random.key(0)))
    programs = {}

    def apply(function, *arguments):
        return programs.setdefault(function, jax.jit(function))(*arguments)

    found, report = experiment._test(variables, apply)
    assert set(report.figures) == {"confusion", "reliability"}
    assert sum(found.terms.values()) == pytest.approx(found.mean)
    given, of_class = report.metrics["given_class/bits_per_dim"], found.terms["class"]
    assert found.mean <= given + of_class  # at most the bits of the label more
    measures = {"test/accuracy", "test/log_loss", "test/calibration_error"}
    assert measures < set(report.metrics)


def test_rows_of_the_table_have_the_configs_that_their_names_give():
    records = find_results([KEPT])
    assert len({record["config"]["data"]["name"] for record in records}) > 1
    for record in records:
        config = up_to_date(record["config"])
        row, data = record["name"].removeprefix("table_"), config["data"]["name"]
        expected = json.loads(images_table.get_config(f"{row},{data}").to_json())
        assert config == expected, (row, data)


def test_the_flagship_was_trained_by_its_config_and_its_weights_are_here():
    (record,) = find_results([FLAGSHIP])
    expected = json.loads(images.get_config("flagship,mnist").to_json())
    assert up_to_date(record["config"]) == expected
    model = nfml_jax.load(FLAGSHIP / "pixel_cnn_mnist")
    black = np.zeros((28, 28, 1), np.uint8)
    noise = np.random.default_rng(0).integers(0, 256, black.shape, np.uint8)
    few, many = model.bits_per_dim(np.stack([black, noise])).per_image
    assert few < 0.2 and many > 8  # black is nearly certain; no level of noise is known


@pytest.mark.parametrize("name", ["glow", "realnvp", "maf", "flowpp", "pixel_cnn"])
def test_a_flow_that_diverges_names_the_option_that_bounds_its_scales(name):
    config = images.get_config(f"{name},digits,smoke")
    config.flow.max_log_scale = 1.5
    remedy = make_experiment(config.to_dict()).remedy
    assert "flow.max_log_scale is 1.5: set a smaller one" in remedy


def test_images_without_labels_have_no_class_conditional_flow():
    config = images.get_config("glow,smoke").to_dict() | {"class_conditional": True}
    loaded = load_pixels("digits")
    with pytest.raises(UserError, match="digits has no classes; set class_cond"):
        context_of(dataclasses.replace(loaded, labels={}))
    config["class_conditional"] = "yes"
    with pytest.raises(UserError, match="class_conditional='yes'; expected True"):
        make_experiment(config)


def test_a_loaded_flow_gives_the_bits_of_its_report(finished, digits):
    path, result = finished
    model = nfml_jax.load(path)
    one, many = (model.bits_per_dim(digits, samples=m) for m in (1, 3))
    assert many.mean <= one.mean
    assert abs(many.mean - result["metrics"]["test/bits_per_dim"]) < 0.1
    assert many.per_image.shape == (70,) and many.kind == "3-sample bound"
    nats = model.log_prob(digits, samples=3)
    np.testing.assert_allclose(-nats / 64 / np.log(2), many.per_image)
    # Neither the chunk nor the images beside one change its noise.
    alone = model.bits_per_dim(digits[:2], samples=3)
    np.testing.assert_allclose(alone.per_image, many.per_image[:2], rtol=1e-5)


def test_latents_give_images_back_and_lie_on_lines_between_them(finished, digits):
    model = nfml_jax.load(finished[0])
    latents = model.encode(digits)
    assert latents.shape == digits.shape
    np.testing.assert_array_equal(model.decode(latents), digits)
    between = model.interpolate(digits[0], digits[1], 5)
    np.testing.assert_array_equal(between[[0, -1]], digits[:2])
    direction = model.attribute(digits[:10], digits[10:20])
    assert direction.shape == model.image_shape


def test_samples_have_levels_and_a_longer_draw_begins_with_the_shorter(finished):
    model = nfml_jax.load(finished[0])
    few, many = model.sample(1, 3), model.sample(1, 5, temperature=1.0)
    np.testing.assert_array_equal(many[:3], few)
    assert few.dtype == np.uint8 and few.max() <= 16
    assert (model.sample(1, 3, temperature=0.5) != few).any()


def test_invalid_input_of_a_flow_of_images_gets_one_sentence(finished, digits):
    model = nfml_jax.load(finished[0])
    with pytest.raises(UserError, match="set levels to 18 or more"):
        model.bits_per_dim(digits + np.uint8(1))
    with pytest.raises(UserError, match="height, width and channels"):
        model.encode(digits[:, :4])
    with pytest.raises(UserError, match=r"expected \[0, 1\)"):
        model.log_prob(digits.astype(np.float32))
    with pytest.raises(UserError, match="temperature=0; expected a number above 0"):
        model.sample(0, 1, temperature=0)
    with pytest.raises(UserError, match="n=0; expected an integer of at least 1"):
        model.sample(0, 0)


def test_commands_draw_images_and_refuse_files_of_other_levels(
    finished, tmp_path, capsys
):
    path, _ = finished
    out = tmp_path / "new" / "grid.png"
    assert cli.main(["sample", str(path), "--n=5", f"--out={out}"]) == 0
    assert Image.open(out).size == (24, 16)
    assert "5 images of 8×8×1 pixels of 17 levels" in capsys.readouterr().out
    assert cli.main(["bits", str(path), str(out)]) == 2
    assert "this flow 17" in capsys.readouterr().err
    rows = tmp_path / "rows.png"
    assert cli.main(["draw", str(path), str(path), f"--output={rows}"]) == 0
    assert Image.open(rows).width > 1000
