"""Labeled Faces in the Wild: training people, and the pairs of others to verify.

Huang, Ramesh, Berg and Learned-Miller (2007), technical report 07-49. To train on
these pictures alone is the benchmark's protocol "unrestricted, no outside data".
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from nfml_jax.data.arrays import Loaded, Split
from nfml_jax.data.class_splits import arrange, set_classes_aside, shrink_classes
from nfml_jax.data.idx_copies import Places
from nfml_jax.data.look import Look
from nfml_jax.data.pairs import PairsFile, read_pairs
from nfml_jax.data.people import read_people
from nfml_jax.data.trees import Tree, open_tree
from nfml_jax.data.unread import OTHER_NAME
from nfml_jax.errors import UserError

HOMEPAGE = "vis-www.cs.umass.edu/lfw"
SUFFIXES = ("", ".zip", ".tgz", ".tar.gz", ".tar")


def load_lfw(
    *,
    root="",
    manual_dir=None,
    view: int = 1,
    fold: int = 1,
    image_size=64,
    crop: float = 1.0,
    channels: int = 1,
    min_images: int = 1,
    validation=0.0,
    max_train=None,
    max_test=None,
    seed: int = 0,
) -> Loaded:
    """Load people to train on, and pairs of pictures of other people to verify.

    View 1, for choosing models, trains on the people of peopleDevTrain.txt and tests on
    the pairs of pairsDevTest.txt. View 2, for reporting, tests on one `fold` (1 to 10)
    of pairs.txt and trains on the people of the other nine of people.txt; the result is
    the mean over all folds. Without these lists the people to train on are the fewer
    ones in the pairs, of pairsDevTrain.txt or of the other folds; `source` says which.
    The training images are all pictures of people with at least `min_images`; the test
    images are all of the people in the pairs.

    `root` is a folder, zip or tar of `Name/Name_0001.jpg`, within others or not; "" is
    lfw, lfw.zip, lfw.tgz, or a zip whose name begins with lfw, in `manual_dir`. The
    other files, called as above or with lfw_ before it, lie beside it or in it. `crop`
    is the fraction of either side kept around the center, `channels` is 1 (gray) or 3.

    `validation` is a fraction below 1, or a count, of the training people to set aside.
    `max_train` takes complete people, and `max_test` a quarter of it in pairs of either
    kind, which show no more pictures than that.

    Raises UserError if anything is missing or damaged.
    """
    look = Look.of(image_size, channels, crop)
    places = Places(manual_dir)
    root = Path(root).expanduser() if str(root) else find_root(places.manual)
    protocol = _protocol(view, fold, root, places.manual)
    test_pairs = protocol.test
    if max_test is not None:
        test_pairs = _fewer(test_pairs, max_test)
    both = sorted(protocol.train.keys() & test_pairs.people.keys())
    if both:
        raise UserError(
            f"{protocol.train_path} has {both[0]} to train on and {test_pairs.path} to "
            "test on; copy both again."
        )
    with open_tree(root) as tree:
        names, labels, numbers, paths = _people(tree)
        known = {name: i for i, name in enumerate(names)}
        sizes = np.bincount(labels)
        train = _classes(protocol.train, protocol.train_path, known, root)
        train = train[sizes[train] >= min_images]
        if len(train) < 2:
            raise UserError(
                f"min_images is {min_images}, which leaves {len(train)} people of "
                f"{root.name} to train on; set it lower."
            )
        train = shrink_classes(labels, train, max_train, seed, "max_train")
        kept, aside = set_classes_aside(train, validation, seed, "people")
        every = Split(np.arange(len(labels)), labels)
        fields = arrange(
            names,
            train=(every, train[kept]),
            validation=(every, train[aside]) if len(aside) else None,
            test=(every, _classes(test_pairs.people, test_pairs.path, known, root)),
        )
        rows = {
            (names[labels[picture]], numbers[picture]): row
            for row, picture in enumerate(fields["test"].images)
        }
        pairs = test_pairs.index(lambda *asked: rows.get(asked), root.name)
        for part in fields.keys() & {"train", "validation", "test"}:
            chosen = [paths[picture] for picture in fields[part].images]
            fields[part] = replace(fields[part], images=tree.images(chosen, look))
    part = f", fold {fold}" if view == 2 else ""
    source = (
        f"{root.name} and {test_pairs.path.name}{part}, trained on the people of "
        f"{protocol.train_path.name}"
    )
    return Loaded(f"lfw_view{view}", source, **fields, pairs=pairs, unread=tree.unread)


def find_root(folder: Path) -> Path:
    """Return the folder, zip or tar of LFW in `folder`; UserError if there is none."""
    found = [folder / f"lfw{suffix}" for suffix in SUFFIXES]
    found = [p for p in found if p.exists()] + sorted(folder.glob("lfw*.zip"))
    for path in found:
        return path
    raise UserError(
        f"{folder} has no lfw folder, zip or tgz; get one from {HOMEPAGE}, or give "
        "data.root."
    )


class Protocol(NamedTuple):
    """The people to train on, with the lines that name them, and the pairs."""

    train: Mapping[str, int]
    train_path: Path
    test: PairsFile


def _protocol(view, fold, root, folder) -> Protocol:
    def find(name):
        places = (root.parent, root, folder, folder / "lfw")
        paths = [p / n for p in places for n in (name, f"lfw_{name}")]
        return next((path for path in paths if path.is_file()), None)

    def read(name):
        if (path := find(name)) is None:
            raise UserError(
                f"{name} is neither in {root.parent} nor in {folder}; get it from "
                f"{HOMEPAGE} and put it there."
            )
        return read_pairs(path)

    if view == 1:
        if path := find("peopleDevTrain.txt"):
            train = read_people(path).everyone()
        else:
            pairs = read("pairsDevTrain.txt")
            train, path = pairs.people, pairs.path
        return Protocol(train, path, read("pairsDevTest.txt"))
    if view != 2:
        raise UserError(
            f"view is {view}; expected 1, to choose hyperparameters, or 2, to report."
        )
    pairs = read("pairs.txt")
    if pairs.folds < 2 or fold not in range(1, pairs.folds + 1):
        raise UserError(
            f"fold is {fold}; {pairs.path} has {pairs.folds} fold(s), and view 2 takes "
            "one of two or more, counted from 1."
        )
    test, others = pairs.fold(fold - 1)
    if not (path := find("people.txt")):
        return Protocol(others.people, pairs.path, test)
    people = read_people(path)
    if len(people.folds) != pairs.folds:
        raise UserError(
            f"{path} has {len(people.folds)} folds, {pairs.path} {pairs.folds}; copy "
            "both again."
        )
    return Protocol(people.everyone(but=fold - 1), path, test)


def _fewer(pairs: PairsFile, pictures: int) -> PairsFile:
    """Return the first pairs of each kind that show `pictures`, at least one pair."""
    if pictures < 1:
        raise UserError(f"max_test is {pictures}; it must be at least 1, or 0 for all.")
    each = max(1, pictures // 4)
    genuine = [pair for pair in pairs.pairs if pair.genuine][:each]
    impostor = [pair for pair in pairs.pairs if not pair.genuine][:each]
    kept = sorted(genuine + impostor, key=lambda pair: pair.line)
    return replace(pairs, pairs=tuple(kept))


def _people(tree: Tree):
    """Return sorted names, and each picture's index of its person, number and path."""
    found = {}
    for path in tree.pictures:
        number = re.fullmatch(r"(.+)_(\d+)", path.stem)
        if number and number[1] == path.parent.name:
            found[number[1], int(number[2])] = path
        else:
            tree.unread.add_suffixes(OTHER_NAME, [path])
    if not found:
        raise UserError(
            f"{tree.root} holds no picture like Name/Name_0001.jpg; expected the tree "
            "of LFW."
        )
    found = dict(sorted(found.items()))
    people, numbers = zip(*found, strict=True)
    names, labels = np.unique(people, return_inverse=True)
    return names.tolist(), labels.astype(np.int32), numbers, list(found.values())


def _classes(people: Mapping[str, int], path, known, root) -> np.ndarray:
    """Return the indices of all people that lines of `path` name."""
    for name, line in people.items():
        if name not in known:
            raise UserError(
                f"line {line} of {path} names {name}, and {root.name} has no picture "
                "of that person; copy it again completely."
            )
    return np.array([known[name] for name in sorted(people)])
