"""Parts of whole classes: to train on, and to validate or test on."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from nfml_jax.data.arrays import Loaded, Split
from nfml_jax.data.draws import set_aside, stratified, validation_count
from nfml_jax.errors import UserError
from nfml_jax.ops.checks import check_part

# From this number of classes on, an open set is validated on complete classes. With
# fewer, a class is too large a part of what can be learned.
MANY = 20

# A split, and the classes of it to keep.
Part = tuple[Split, Sequence[int] | np.ndarray]


def arrange(names: Sequence[str], **parts: Part | None) -> dict:
    """Return the fields of a `Loaded` that trains on some classes and tests on any.

    A part (train, validation, test) is a split, whose labels number `names`, and the
    classes to keep of it; None stays None. Labels are renumbered: those of the training
    classes come first, then the unseen ones.
    """
    given = {part: pair for part, pair in parts.items() if pair is not None}
    trained = np.unique(given["train"][1])
    wanted = np.unique(np.concatenate([classes for _, classes in given.values()]))
    order = np.r_[trained, np.setdiff1d(wanted, trained)].astype(int)
    number = np.full(len(names), -1, np.int32)
    number[order] = np.arange(len(order), dtype=np.int32)

    def renumbered(split, classes):
        kept = split.take(np.flatnonzero(np.isin(split.labels, classes)))
        return replace(kept, labels=number[kept.labels])

    named = tuple(names[i] for i in order)
    return {
        "class_names": named[: len(trained)],
        "unseen": named[len(trained) :],
        **{part: renumbered(*pair) for part, pair in given.items()},
    }


def validate_apart(loaded: Loaded, validation: float, seed: int) -> Loaded:
    """Set a validation part aside in a set that has none.

    It is `validation` of the training images, a fraction below 1 or a count, drawn by
    `set_aside`. For a test of unseen classes the part consists of complete, unseen
    classes if there are `MANY` classes to train on, or if it would have no two images
    of one class: the number of classes is the least that has that many images, and at
    least two.

    Raises UserError if there aren't enough images or classes.
    """
    train, aside = set_aside(loaded.train, validation, seed)
    known = len(loaded.class_names)
    open_set = bool(np.any(loaded.test.labels >= known))
    if not (validation and open_set):
        return replace(loaded, train=train, validation=aside)
    if known < MANY and _has_pairs(aside):
        return replace(loaded, train=train, validation=aside)
    labels = loaded.train.labels
    count = validation_count(loaded.train, validation)
    kept, apart = _classes_apart(np.bincount(labels, minlength=known), count, seed)
    if len(kept) < 2:
        raise UserError(
            f"{loaded.name} tests on unseen classes, so data.validation = {validation} "
            f"sets whole classes aside, which leaves {len(kept)} of {known} to train "
            "on; lower it, or set it to 0."
        )
    return replace(
        loaded,
        source=f"{loaded.source}, {len(apart)} training classes moved to validation",
        **arrange(
            loaded.class_names + loaded.unseen,
            train=(loaded.train, kept),
            validation=(loaded.train, apart),
            test=(loaded.test, np.unique(loaded.test.labels)),
        ),
    )


def _has_pairs(split: Split | None) -> bool:
    return split is not None and len(np.unique(split.labels)) < len(split)


def _classes_apart(sizes: np.ndarray, count: int, seed: int):
    """Return classes to train on, and drawn ones that together have `count` images.

    At least two of the latter have two images.
    """
    drawn = np.argsort(np.random.PCG64(seed).random_raw(len(sizes)), kind="stable")
    enough = np.cumsum(sizes[drawn]) >= count
    enough &= np.cumsum(sizes[drawn] >= 2) >= 2
    last = int(np.argmax(enough)) + 1 if enough.any() else len(sizes)
    return np.sort(drawn[last:]), np.sort(drawn[:last])


def set_classes_aside(
    units: np.ndarray, share: float, seed: int, what: str, option: str = "validation"
):
    """Return the numbers of classes kept, and of those set aside at random.

    All classes of a unit stay together. `units [C]` is the unit of each class: its
    alphabet, or itself. `share` is a fraction below 1, or a count, of the units; 0 sets
    none aside.
    """
    check_part(**{f"data.{option}": share})
    names = np.unique(units)
    most = len(names) - 1
    if 0 < share < 1:
        share = min(max(round(share * len(names)), 1), most)
    if share not in range(most + 1):
        raise UserError(
            f"{option} is {share}; of {len(names)} {what} it must be 0, a fraction "
            f"below 1 or an integer up to {most}."
        )
    count = int(share)
    if not count:
        return np.arange(len(units)), np.zeros(0, int)
    chosen, _ = stratified(np.zeros(len(names), int), count, seed)
    aside = np.isin(units, names[chosen])
    return np.flatnonzero(~aside), np.flatnonzero(aside)


def shrink_classes(labels, classes, limit: int | None, seed: int, what: str):
    """Return a random subset of `classes` with at least `limit` images in total.

    It has at least two classes. Classes are complete, because a class of few images
    teaches little of it. None keeps all classes.
    """
    if limit is None:
        return classes
    if limit < 1:
        raise UserError(f"{what} is {limit}; it must be at least 1, or 0 for all.")
    drawn = np.argsort(np.random.PCG64(seed).random_raw(len(classes)), kind="stable")
    sizes = np.bincount(labels, minlength=max(classes) + 1)[np.asarray(classes)[drawn]]
    count = max(2, int(np.searchsorted(np.cumsum(sizes), limit, side="right")))
    return np.sort(np.asarray(classes)[drawn[:count]])
