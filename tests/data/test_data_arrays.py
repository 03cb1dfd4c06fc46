"""Stratified draws are exact, disjoint, deterministic and fair to every class."""

import numpy as np
import pytest

from nfml_jax.data.arrays import Split, make_image_data
from nfml_jax.data.draws import set_aside, shrink, stratified
from nfml_jax.errors import UserError

LABELS = np.repeat(np.arange(5), [40, 30, 20, 9, 1]).astype(np.int32)


def split_of(labels):
    images = np.arange(len(labels), dtype=np.uint8).reshape(-1, 1, 1, 1)
    return Split(images, labels)


@pytest.mark.parametrize("count", [1, 7, 50, 99])
def test_stratified_draw_is_exact_disjoint_and_proportional(count):
    chosen, rest = stratified(LABELS, count, seed=3)
    assert len(chosen) == count
    np.testing.assert_array_equal(np.sort(np.r_[chosen, rest]), np.arange(len(LABELS)))
    assert (np.diff(chosen) > 0).all() and (np.diff(rest) > 0).all()
    share = np.bincount(LABELS[chosen], minlength=5)
    assert (np.abs(share - np.bincount(LABELS) * count / len(LABELS)) < 1).all()


def test_a_class_keeps_an_example_in_the_rest():
    _, rest = stratified(LABELS, 30)
    assert set(LABELS[rest]) == set(LABELS)


def test_the_draw_is_the_same_on_every_machine_and_differs_by_seed():
    draw = stratified(np.zeros(20, int), 5, seed=0)[0]
    np.testing.assert_array_equal(draw, [2, 3, 11, 13, 15])
    assert any(
        (stratified(np.zeros(20, int), 5, seed=s)[0] != draw).any() for s in (1, 2)
    )


@pytest.mark.parametrize(("validation", "count"), [(0.25, 25), (10, 10), (1, 1)])
def test_validation_is_a_fraction_or_a_count(validation, count):
    train, held_out = set_aside(split_of(LABELS), validation, seed=0)
    assert (len(train), len(held_out)) == (100 - count, count)
    assert not set(train.images.ravel()) & set(held_out.images.ravel())


@pytest.mark.parametrize("validation", [-0.1, 100, 1.5, 1000, np.nan, np.inf])
def test_impossible_validation_is_refused(validation):
    with pytest.raises(UserError, match="validation is"):
        set_aside(split_of(LABELS), validation, seed=0)


@pytest.mark.parametrize("validation", [0.001, 0.95, 99])
def test_every_class_is_left_to_train_on(validation):
    train, held_out = set_aside(split_of(LABELS), validation, seed=0)
    assert set(train.labels) == set(LABELS)
    assert len(held_out) >= 1 and len(train) + len(held_out) == 100
    alone = split_of(np.arange(4, dtype=np.int32))
    train, held_out = set_aside(alone, 0.5, seed=0)
    assert len(train) == 4 and held_out is None


def test_shrinking_keeps_images_with_their_labels_and_every_class():
    small = shrink(split_of(LABELS), 10, 0, "max_train")
    np.testing.assert_array_equal(LABELS[small.images.ravel()], small.labels)
    assert len(small) == 11 and set(small.labels) == set(LABELS)
    assert len(shrink(split_of(LABELS), 1000, 0, "max_train")) == 100
    with pytest.raises(UserError, match="max_train is -1"):
        shrink(split_of(LABELS), -1, 0, "max_train")


def test_no_data_set_is_made_with_labels_of_no_class_or_without_images():
    good, bad = split_of(np.array([0, 1, 1])), split_of(np.array([0, -1, 1]))
    with pytest.raises(UserError, match="test labels of set range from -1 to 1"):
        make_image_data("set", "s", "ab", good, bad)
    with pytest.raises(UserError, match=r"training labels .* expected 0 to 0"):
        make_image_data("set", "s", "a", good, good)
    with pytest.raises(UserError, match="set has no test images"):
        make_image_data("set", "s", "ab", good, good.take([]))


def test_the_digest_depends_on_pixels_labels_shapes_and_splits():
    def digest(train, test, validation=None):
        return make_image_data("n", "s", "abcde", train, test, validation).digest

    a, b = split_of(LABELS), split_of(LABELS[::-1])
    flat = Split(a.images.reshape(-1, 1, 1, 1)[:98].reshape(-1, 7, 7, 1), LABELS[:2])
    row = Split(flat.images.reshape(-1, 49, 1, 1), LABELS[:2])
    digests = [digest(*parts) for parts in [(a, b), (b, a), (a, b, a), (a, a)]]
    digests += [digest(a, flat), digest(a, row)]
    assert len(set(digests)) == len(digests)
    assert digest(a, b) == digests[0] and digests[0].startswith("sha256:")


def test_the_fingerprint_depends_on_class_names_and_the_digest_does_not():
    parts = split_of(LABELS), split_of(LABELS[::-1])

    def data(names, **more):
        return make_image_data("n", "s", names, *parts, **more)

    first = data("abcde")
    others = [data("abced"), data(("ab", "", "c", "d", "e")), data("abcde", unseen="f")]
    assert {other.digest for other in others} == {first.digest}
    found = {data.fingerprint for data in (first, *others)}
    assert len(found) == 4 and data("abcde").fingerprint in found
    assert first.summary()["fingerprint"] == first.fingerprint
