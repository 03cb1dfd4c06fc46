"""The linear part of an embedding: what it starts from, and how large it is."""

from types import SimpleNamespace

import numpy as np
import pytest

from experiments import linear_start
from experiments.settings import PictureSettings
from nfml_jax.data import to_float
from nfml_jax.data.arrays import Split
from nfml_jax.evaluation import verification
from nfml_jax.nets.layers import coarse_rows, standardize
from nfml_jax.ops.distances import unit

CLASSES, EACH = 16, 6


def pictures(aligned):
    """Return pictures of classes that differ in a pattern, in one place or in any."""
    rng = np.random.default_rng(0)
    patterns = rng.uniform(0, 160, (CLASSES, 6, 6))
    labels = np.repeat(np.arange(CLASSES), EACH)
    images = rng.integers(0, 60, (len(labels), 20, 20, 1))
    for image, label in zip(images, labels, strict=True):
        top, left = (7, 7) if aligned else rng.integers(0, 15, 2)
        image[top : top + 6, left : left + 6, 0] += patterns[label].astype(int)
    return images.astype(np.uint8), labels


def config(**changes):
    encoder = {"name": "cnn", "embedding_size": 8, "linear": 4}
    encoder |= {"standardize": "picture"} | changes
    return PictureSettings.of(
        {"encoder": encoder, "augment": {}, "data": {"name": "mnist"}}
    )


def started(images, labels, **changes):
    train = Split(images, labels.astype(np.int32))
    return linear_start.start(SimpleNamespace(train=train), config(**changes))


def embedded(found, images):
    rows = coarse_rows(standardize(to_float(images), "picture"))
    return np.asarray(rows @ found["kernel"] + found["bias"])


def test_the_start_separates_aligned_classes_as_strongly_as_the_network():
    images, labels = pictures(aligned=True)
    values = embedded(started(images, labels), images)
    assert verification.all_pairs(unit(values), labels).roc().auc > 0.95
    np.testing.assert_allclose((values**2).sum(axis=1).mean(), 4, rtol=0.01)
    np.testing.assert_allclose(values.mean(axis=0), 0, atol=0.01)


def test_the_linear_start_is_small_if_it_does_not_generalize():
    images, labels = pictures(aligned=False)
    values = embedded(started(images, labels), images)
    assert (values**2).sum(axis=1).mean() < 1


def test_values_beyond_the_axes_of_few_classes_start_at_zero():
    images, labels = pictures(aligned=True)
    few = labels < 3
    found = started(images[few], labels[few])
    assert np.any(found["kernel"][:, :2], axis=0).all()
    assert not np.any(found["kernel"][:, 2:])


@pytest.mark.parametrize("shape", [(3, 9, 9, 1), (4, 6, 7, 3)])
def test_pictures_that_do_not_vary_start_at_zero(shape):
    found = started(np.full(shape, 7, np.uint8), np.arange(shape[0]) % 2)
    assert not np.any(found["kernel"]) and not np.any(found["bias"])


def test_an_encoder_without_a_linear_part_starts_from_nothing():
    assert started(*pictures(aligned=True), linear=0) == {}
