"""One's own pictures: any loss and encoder by the config's argument."""

import io
import json

import jax
import numpy as np
import pytest
from PIL import Image

from configs import folder
from experiments import make_experiment
from nfml_jax.data.look import Look
from nfml_jax.errors import UserError
from nfml_jax.heads import MARGINS, make_head
from nfml_jax.loading import data_of
from nfml_jax.loading.recognition import make_classifier
from nfml_jax.losses import LOSSES, make_loss
from nfml_jax.nets import NETS, make_net


@pytest.mark.parametrize("name", [*MARGINS, *LOSSES, "circle_loss"])
def test_the_argument_names_any_loss_and_shows_its_options(name):
    config = folder.get_config(f"{name},32").to_dict()
    made = make_head if "head" in config else make_loss
    made(5, 32, **config.get("head", config.get("objective")))
    assert config["encoder"]["embedding_size"] == 32
    if "head" in config and MARGINS[name].numbers():
        assert {"margin", "warmup_steps"} <= config["head"].keys()


@pytest.mark.parametrize("name", NETS)
def test_the_argument_names_any_encoder_and_shows_its_options(name):
    encoder = folder.get_config(f"16,{name},smoke").encoder.to_dict()
    assert encoder["name"] == name
    assert make_net(**encoder).embedding_size == 16


def test_two_encoders_are_one_too_many():
    with pytest.raises(UserError, match="expected one encoder, not cnn and mlp"):
        folder.get_config("cnn,mlp")


def test_an_experiment_names_the_sections_that_a_config_lacks():
    config = folder.get_config("arcface").to_dict() | {"experiment": "pairs"}
    with pytest.raises(UserError, match="'pairs' reads sampler and objective"):
        make_experiment(config)


@pytest.mark.parametrize(
    ("text", "sides"),
    [("48", (48, 48)), ("48x64", (48, 64)), ("(48, 64)", (48, 64)), (7, (7, 7))],
)
def test_a_size_of_pictures_is_a_side_or_height_by_width(text, sides):
    look = Look.of(text, 3)
    assert (look.height, look.width) == sides


@pytest.mark.parametrize("text", ["", "0", "48x", "1x2x3", "-3", "4.5", 4.5, (1, "x")])
def test_a_size_that_no_picture_has_is_named(text):
    with pytest.raises(UserError, match="expected pixels from 1 to 32,768, or HEIGHT"):
        Look.of(text, 3)


WIDE = np.zeros((20, 60, 3), np.uint8)
WIDE[:, 30:] = 200


@pytest.mark.parametrize(
    ("fit", "column", "row"),
    [
        ("squeeze", [0, 0, 0, 200], [200] * 4),
        ("pad", [100, 0, 0, 100], [100, 200, 200, 100]),
        ("crop", [0, 0, 0, 0], [200] * 4),
    ],
)
def test_other_proportions_are_squeezed_padded_or_cropped(fit, column, row):
    content = io.BytesIO()
    Image.fromarray(WIDE).save(content, "png")
    pixels = Look.of(12, 3, fit=fit).decode(content.getvalue())
    assert pixels.shape == (12, 12, 3)
    np.testing.assert_array_equal(pixels[[0, 5, 6, 11], 11, 0], row)
    if fit != "squeeze":
        np.testing.assert_array_equal(pixels[[0, 5, 6, 11], 0, 0], column)
    tall = Look.of("24x12", 1, fit=fit)
    assert tall.decode(content.getvalue()).shape == (24, 12, 1)


def test_an_unknown_way_to_fit_is_named():
    with pytest.raises(UserError, match=r"data\.fit = 'stretch'"):
        Look.of(12, 3, fit="stretch")


def test_the_pictures_of_a_run_are_found_by_its_config(tmp_path):
    for number in range(8):
        file = tmp_path / "root" / "ab"[number % 2] / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((9, 9), 20 * number, np.uint8)).save(file)
    config = folder.get_config("smoke")
    config.data.update({"root": str(tmp_path / "root"), "image_size": "8"})
    (tmp_path / "config.json").write_text(json.dumps(config.to_dict()))
    found = data_of(tmp_path)
    assert found.class_names == ("a", "b") and sum(found.counts.values()) == 8


def test_a_picture_and_its_mirror_image_have_one_embedding():
    images = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 1), np.uint8)
    found = []
    for mirror in (True, False):
        encoder = {"name": "mlp", "embedding_size": 4, "hidden": (5,), "mirror": mirror}
        model = make_classifier(encoder, {"name": "normface"}, 2)
        variables = model.init(jax.random.key(0), images, np.zeros(3, np.int32))
        for given in (images, images[:, :, ::-1]):
            found.append(model.apply(variables, given, method="embed"))
    both, same, plain, other = found
    np.testing.assert_allclose(both, same, rtol=1e-5)
    np.testing.assert_allclose(both, (plain + other) / 2, rtol=1e-5, atol=1e-6)
