"""Pixels, PCA and LDA embed images as defined, at a bounded cost."""

import numpy as np
import pytest

from experiments import beside
from experiments.settings import PictureData, PictureSettings
from nfml_jax.data.arrays import Split, make_image_data
from nfml_jax.evaluation import baselines
from nfml_jax.loading.settings import EncoderSettings
from nfml_jax.ops.distances import unit

SETTINGS = PictureSettings(
    data=PictureData(name="mnist"),
    encoder=EncoderSettings(name="cnn", embedding_size=4),
)


def drawn(classes=6, per=12, side=10, channels=1, seed=0, strength=1.0):
    """Images of classes under a common nuisance that is stronger than the classes."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(classes), per).astype(np.int32)
    shape = side, side, channels
    kinds = np.random.default_rng(7).normal(size=(classes, *shape))
    ramp = np.linspace(-1, 1, side)[None, :, None, None]
    light = rng.normal(size=(len(labels), 1, 1, 1)) * ramp
    x = 128 + 20 * strength * kinds[labels] + 60 * light
    x = x + 5 * rng.normal(size=x.shape)
    return Split(x.clip(0, 255).astype(np.uint8), labels)


def accuracy(embed, train, test):
    means = np.stack([embed(train.images)[train.labels == c].mean(0) for c in range(6)])
    nearest = np.argmax(unit(embed(test.images)) @ unit(means).T, axis=1)
    return (nearest == test.labels).mean()


def test_pca_whitens_and_lda_discounts_variation_within_classes():
    train, test = drawn(), drawn(seed=1)
    found = baselines.fit(train.images, train.labels)
    assert list(found) == ["pixels", "pca", "lda"]
    rows = found["pca"](train.images)
    np.testing.assert_allclose(
        np.cov(rows.T, bias=True), np.eye(rows.shape[1]), atol=1e-3
    )
    assert found["lda"](train.images).shape == (72, 5)
    scores = [accuracy(embed, train, test) for embed in found.values()]
    assert scores[2] > 0.95 and scores[2] > scores[0]


@pytest.mark.parametrize("shape", [(28, 28, 1), (40, 64, 3), (5, 300, 3), (200, 7, 1)])
def test_pixels_are_averaged_until_few_remain(shape):
    images = np.random.default_rng(0).integers(0, 256, (3, *shape)).astype(np.uint8)
    rows = baselines.pixels(images)
    assert rows.shape[0] == 3 and 0 < rows.shape[1] <= baselines.VALUES
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
    dark = baselines.pixels(np.zeros((2, *shape), np.uint8))
    assert np.isfinite(dark).all()


def test_pca_and_lda_are_left_out_where_they_are_undefined():
    alike = np.full((6, 4, 4, 1), 9, np.uint8)
    assert list(baselines.fit(alike, np.arange(6) % 2)) == ["pixels"]
    rows = drawn().images[:5]
    assert list(baselines.fit(rows, np.arange(5))) == ["pixels", "pca"]


def test_metrics_are_named_after_those_of_the_model():
    data = make_image_data("x", "made up", "abcdef", drawn(), drawn(seed=1))
    found = beside.metrics(data, SETTINGS, {})
    names = "test/accuracy", "test/knn_accuracy", "verification/eer"
    names += "verification/auc", "retrieval/recall@1"
    assert found.keys() == {f"{b}/{n}" for b in ("pixels", "pca", "lda") for n in names}
    assert all(0 <= value <= 1 for value in found.values())


def test_unseen_classes_have_no_accuracy():
    train, test = drawn(classes=3), drawn(seed=1)
    data = make_image_data("x", "made up", "abc", train, test, unseen=tuple("def"))
    found = beside.metrics(data, SETTINGS, {"verification/*": "pairs"})
    assert found == {}
    found = beside.metrics(data, SETTINGS, {})
    assert "pca/retrieval/recall@1" in found and "pca/test/accuracy" not in found
