"""Images that a file lists are not trained on; the others are unchanged."""

import json

import numpy as np
import pytest

from nfml_jax.data.arrays import Split, make_image_data
from nfml_jax.data.left_out import leave_out, write_left_out
from nfml_jax.errors import UserError


def drawn(count):
    images = np.random.default_rng(count).integers(0, 255, (count, 2, 2, 1), np.uint8)
    return Split(images, np.arange(count, dtype=np.int32) % 2)


DATA = make_image_data("drawn", "chance", ("a", "b"), drawn(7), drawn(4), drawn(3))


def test_listed_images_are_left_out_of_the_training_alone(tmp_path):
    write_left_out(tmp_path / "odd.json", DATA, np.array([5, 0]))
    fewer = leave_out(DATA, str(tmp_path / "odd.json"))
    np.testing.assert_array_equal(
        fewer.train.images, DATA.train.images[[1, 2, 3, 4, 6]]
    )
    assert fewer.digest != DATA.digest
    assert fewer.source == "chance, 2 training images left out"
    assert (fewer.test, fewer.validation) == (DATA.test, DATA.validation)
    write_left_out(tmp_path / "none.json", DATA, [])
    assert leave_out(DATA, tmp_path / "none.json").digest == DATA.digest


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("no list", "can't be read as a list of images to leave out"),
        ("[1, 2]", "can't be read"),
        ({"data": DATA.digest}, "can't be read"),
        ({"data": "sha256:0", "train": [0]}, "lists images of other data than drawn"),
        ({"data": DATA.digest, "train": [7]}, "range from 7 to 7; expected 0 to 6"),
        ({"data": DATA.digest, "train": [*range(7)]}, "no training images"),
    ],
)
def test_a_file_that_does_not_fit_is_named(content, says, tmp_path):
    path = tmp_path / "odd.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(UserError, match=says):
        leave_out(DATA, path)


def test_a_missing_file_is_named():
    with pytest.raises(UserError, match=r"nowhere\.json can't be read"):
        leave_out(DATA, "nowhere.json")
