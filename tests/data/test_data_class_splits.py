"""Classes to train on and classes held out are separate in every part of a set."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from nfml_jax import data
from nfml_jax.data.arrays import Loaded, Split
from nfml_jax.data.class_choice import choose_classes
from nfml_jax.data.class_splits import (
    arrange,
    set_classes_aside,
    shrink_classes,
    validate_apart,
)
from nfml_jax.data.draws import set_aside
from nfml_jax.errors import UserError

NAMES = tuple("abcdef")


def split(size, seed):
    """Images whose only pixel is the number of the class."""
    labels = np.random.default_rng(seed).integers(0, len(NAMES), size).astype(np.int32)
    images = labels.astype(np.uint8)[:, None, None, None]
    return Split(images, labels, {"row": np.arange(size)})


LOADED = Loaded("set", "made up", NAMES, split(200, 0), split(100, 1), split(50, 2))


@pytest.mark.parametrize(
    ("classes", "held_out"),
    [(("f", "b"), ()), ((), ("c", "a")), (("b", "d"), ("f", "a")), ((), ())],
)
def test_labels_are_renumbered_and_keep_their_names(classes, held_out):
    chosen = choose_classes(LOADED, classes, held_out)
    trained = set(classes) or set(NAMES) - set(held_out)
    assert set(chosen.class_names) == trained
    assert set(chosen.unseen) == set(held_out)
    names = chosen.class_names + chosen.unseen
    wanted = {"train": trained, "validation": trained, "test": held_out or trained}
    for part, expected in wanted.items():
        kept = getattr(chosen, part)
        true = [NAMES[pixel] for pixel in kept.images.ravel()]
        assert [names[label] for label in kept.labels] == true
        assert set(true) == set(expected)
        whole = getattr(LOADED, part)
        assert len(kept) == np.isin(whole.labels, kept.images).sum()
        np.testing.assert_array_equal(
            whole.labels[kept.about["row"]], kept.images.ravel()
        )
    images = data.arrays.make_image_data(**vars(chosen))
    assert images.num_classes == len(trained) and images.label_names == names
    assert images.open_set == bool(held_out)
    assert ("2 unseen ones to test on" in images.describe()) == bool(held_out)


def test_arranged_classes_may_differ_in_every_part():
    every = LOADED.train
    fields = arrange(
        NAMES, train=(every, [1, 4]), validation=(every, [0]), test=(every, [5, 4])
    )
    assert (fields["class_names"], fields["unseen"]) == (("b", "e"), ("a", "f"))
    assert set(fields["test"].labels) == {1, 3}


@pytest.mark.filterwarnings("ignore:.*not MNIST as it was published")
def test_an_option_of_load(manual_dir, tmp_path):
    images = data.load(
        "mnist", source="manual", manual_dir=manual_dir, data_dir=tmp_path,
        held_out=("8", "9"), validation=0.1, max_train=100,
    )  # fmt: skip
    assert images.class_names == tuple("01234567") and images.unseen == ("8", "9")
    assert set(images.test.labels) == {8, 9} and images.counts["test"] == 40
    assert set(images.validation.labels) <= set(range(8))
    assert images.summary()["unseen_classes"] == 2
    assert "8 of 10 classes trained on and 2 others tested on" in images.source


def test_images_that_a_choice_leaves_unused_are_counted():
    chosen = choose_classes(LOADED, (), ("c", "a"))
    unused = (
        np.isin(LOADED.train.labels, [0, 2]).sum(),
        (~np.isin(LOADED.test.labels, [0, 2])).sum(),
    )
    assert list(chosen.unread.summary().values()) == [*unused]
    assert not LOADED.unread.counts
    assert not choose_classes(LOADED, ("f", "b"), ()).unread.counts


def test_one_text_may_hold_several_names():
    loaded = replace(LOADED, class_names=("a", "b,c", "d e", "f", "g", "h"))
    for given in ("f,d e", ("f, d e",), ("f", "d e")):
        assert choose_classes(loaded, (), given).unseen == ("d e", "f")
    for given in ("b,c", ("b,c",), ("b,c", "f")):
        assert "b,c" in choose_classes(loaded, (), given).unseen
    assert choose_classes(loaded, (), "f,").unseen == ("f",)
    numbered = replace(LOADED, class_names=("1", "2", "20", "0.5", "5", "6"))
    assert choose_classes(numbered, (), 20).unseen == ("20",)
    assert choose_classes(numbered, (), "0.5").unseen == ("0.5",)
    assert len(choose_classes(LOADED, (), "0.5").unseen) == 3


def test_an_unknown_class_of_very_many_lists_some_of_them():
    loaded = replace(LOADED, class_names=tuple(f"n{i:05}" for i in range(6000)))
    with pytest.raises(UserError, match="n00019 and 5,980 more") as error:
        choose_classes(loaded, (), ("n0001",))
    assert "did you mean" in str(error.value) and len(str(error.value)) < 400


def test_a_fraction_of_the_classes_is_drawn_to_be_held_out():
    drawn = [choose_classes(LOADED, (), 0.34, seed).unseen for seed in range(5)]
    assert {len(unseen) for unseen in drawn} == {2} and len(set(drawn)) > 1
    among = choose_classes(LOADED, "a,b,c", (0.34,))
    assert {*among.class_names, *among.unseen} == set("abc") and len(among.unseen) == 1


def many(classes, each, unseen=2):
    """A set of many classes with few images each, tested on others."""
    labels = np.repeat(np.arange(classes + unseen), each).astype(np.int32)
    every = Split(labels.astype(np.uint8)[:, None, None, None], labels)
    names = [f"{i:02}" for i in range(classes + unseen)]
    known = every.take(labels < classes)
    fields = arrange(
        names,
        train=(known, np.arange(classes)),
        test=(every, np.arange(classes, classes + unseen)),
    )
    return Loaded("set", "made up", **fields)


@pytest.mark.parametrize(
    ("classes", "each", "share", "apart"),
    [(30, 10, 0.05, 2), (30, 10, 0.2, 6), (30, 10, 41, 5), (8, 2, 0.2, 2)],
)
def test_an_open_set_is_validated_on_whole_classes(classes, each, share, apart):
    loaded = many(classes, each)
    split = validate_apart(loaded, share, 0)
    names = np.array(split.class_names + split.unseen)
    assert len(split.class_names) == classes - apart
    assert len(split.validation) == apart * each
    kinds = [
        set(names[part.labels]) for part in (split.train, split.validation, split.test)
    ]
    assert kinds[0] == set(split.class_names) and not kinds[0] & kinds[1]
    assert kinds[2] == {f"{classes:02}", f"{classes + 1:02}"}
    for part in (split.train, split.validation, split.test):
        true = [f"{pixel:02}" for pixel in part.images.ravel()]
        assert list(names[part.labels]) == true
    assert validate_apart(loaded, 0, 0).validation is None
    with pytest.raises(UserError, match="sets whole classes aside, which leaves"):
        validate_apart(loaded, 0.99, 0)


def test_an_open_set_of_few_large_classes_is_validated_on_images_of_these():
    loaded = many(8, 100)
    split = validate_apart(loaded, 0.05, 0)
    assert split.class_names == loaded.class_names
    np.testing.assert_array_equal(np.bincount(split.validation.labels), [5] * 8)


def test_a_small_validation_part_has_pairs():
    labels = np.repeat(np.arange(30), 10).astype(np.int32)
    train = Split(np.arange(300, dtype=np.uint16)[:, None, None, None], labels)
    for count in (15, 4):
        rest, aside = set_aside(train, count, 0)
        np.testing.assert_array_equal(
            np.unique(aside.labels, return_counts=True)[1], [2] * (count // 2)
        )
        both = np.r_[rest.images.ravel(), aside.images.ravel()]
        np.testing.assert_array_equal(np.sort(both), np.arange(300))
    rest, aside = set_aside(train.take(labels < 3), 0.05, 0)
    np.testing.assert_array_equal(np.unique(aside.labels, return_counts=True)[1], 2)
    assert (len(rest), len(aside)) == (26, 4)
    alone = Split(train.images[::10], labels[::10])
    assert set_aside(alone, 5, 0)[1] is None


@pytest.mark.parametrize(
    ("classes", "held_out", "sentence"),
    [
        ("a,z", (), "class of set 'z' is not known"),
        ("a,b", "b,c", "both name 'b'"),
        ((), "b,c,d,e,f", "leave 1 of the 6 classes"),
        ((), "Zoe", "class of set 'Zoe' is not known"),
        ((), 20, "class of set '20' is not known"),
        ((), "1.5", "fraction of them between 0 and 1"),
    ],
)
def test_impossible_choices_get_a_sentence(classes, held_out, sentence):
    with pytest.raises(UserError, match=sentence):
        choose_classes(LOADED, classes, held_out)
    with pytest.raises(UserError, match=r"that it doesn.t train on already"):
        choose_classes(choose_classes(LOADED, "a,b", "c,d"), "a,b", ())


def test_classes_set_aside_go_with_their_unit():
    units = np.array(list("xxyyyzzzzw"))
    for share, count in ((0, 0), (0.25, 1), (0.01, 1), (2, 2)):
        kept, aside = set_classes_aside(units, share, 0, "alphabets")
        assert not set(units[kept]) & set(units[aside])
        assert len(set(units[aside])) == count and len(kept) + len(aside) == 10
    with pytest.raises(UserError, match=r"validation is 4; of 4 alphabets"):
        set_classes_aside(units, 4, 0, "alphabets")
    for bad in (-1, 1.5, float("nan"), "half", None, True):
        with pytest.raises(UserError, match=r"data\.validation="):
            set_classes_aside(units, bad, 0, "alphabets")


def test_shrinking_keeps_classes_complete():
    labels, classes = LOADED.train.labels, np.array([0, 1, 3, 5])
    sizes = np.bincount(labels)
    assert (shrink_classes(labels, classes, None, 0, "max_train") == classes).all()
    for limit in (1, 70, 100, 1000):
        kept = shrink_classes(labels, classes, limit, 0, "max_train")
        assert set(kept) <= set(classes) and len(kept) >= 2
        assert len(kept) == 2 or sizes[kept].sum() <= limit
    with pytest.raises(UserError, match="max_train is -1"):
        shrink_classes(labels, classes, -1, 0, "max_train")


def test_folders_of_other_classes_to_test_on(tmp_path):
    def write(names):
        for i, name in enumerate(names):
            (tmp_path / name).mkdir(parents=True)
            Image.new("L", (4, 4), 10 * i).save(tmp_path / name / "0.png")

    write(["train/a", "train/d", "test/c", "test/b"])
    images = data.load("image_folder", root=tmp_path, image_size=4)
    assert images.class_names == ("a", "d") and images.unseen == ("b", "c")
    assert images.open_set and list(images.test.labels) == [2, 3]
    write(["test/a"])
    with pytest.raises(UserError, match="'b' to test on but not under train"):
        data.load("image_folder", root=tmp_path)
