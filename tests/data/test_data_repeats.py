"""Pictures that a data set has twice, and pictures that show nothing."""

import numpy as np
import pytest

from nfml_jax.data import repeats
from nfml_jax.data.arrays import Loaded, Split, make_image_data
from nfml_jax.data.unread import Unread


def data(train, test, train_labels, test_labels):
    """A set of pictures [2, 2, 1], each filled with rising values from a number on."""

    def split(starts, labels):
        images = [s + np.arange(4).reshape(2, 2, 1) for s in starts]
        return Split(np.array(images, np.uint8), np.array(labels, np.int32))

    parts = split(train, train_labels), split(test, test_labels)
    loaded = Loaded("set", "made up", ("a", "b"), *parts, unread=Unread())
    return make_image_data(**vars(loaded))


def test_a_set_of_different_pictures_has_no_fault():
    assert repeats.faults(data([0, 9, 20], [30, 40], [0, 1, 1], [0, 1])) == []


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        (([0, 9], [9, 9, 40], [0, 1], [1, 1, 0]), "2 of 3 test images are training"),
        (([0, 9, 0], [40], [0, 1, 1], [0]), "1 images occur in several classes"),
        (([0, 9], [0], [0, 1], [1]), "1 of 1 test images are training images"),
    ],
)
def test_pictures_that_occur_twice_are_counted(rows, sentence):
    assert sentence in " ".join(repeats.faults(data(*rows)))


def test_pictures_of_one_color_are_counted():
    found = data([0, 9], [40], [0, 1], [0])
    found.train.images[0] = 7
    (sentence,) = repeats.faults(found)
    assert sentence.startswith("1 of 3 images have a single color")


def test_a_gallery_gives_a_picture_to_one_person():
    images = np.arange(12, dtype=np.uint8).reshape(3, 2, 2, 1)
    assert repeats.faults_of_gallery(images, ["Ann", "Bob", "Bob"]) == []
    images[2] = images[0]
    (sentence,) = repeats.faults_of_gallery(images, ["Ann", "Bob", "Bob"])
    assert sentence.startswith("1 pictures of the gallery are given to several")
    assert repeats.faults_of_gallery(images, ["Ann", "Bob", "Ann"]) == []
    images[1] = 0
    assert "1 pictures of the gallery have a single color" in " ".join(
        repeats.faults_of_gallery(images, ["Ann", "Bob", "Ann"])
    )
