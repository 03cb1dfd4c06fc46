"""The choice of the classes to train on, and of those to validate or test on."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from copy import deepcopy
from dataclasses import replace

import numpy as np

from nfml_jax.data.arrays import Loaded, Split
from nfml_jax.data.draws import set_aside, stratified, validation_count
from nfml_jax.data.file_names import readable
from nfml_jax.data.unread import UNUSED_TEST, UNUSED_TRAIN
from nfml_jax.errors import UserError
from nfml_jax.ops.checks import check_part
from nfml_jax.ops.names import look_up

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


def choose_classes(
    loaded: Loaded, classes: Sequence[str], held_out: Sequence[str], seed: int = 0
) -> Loaded:
    """Train only on `classes`, and test only on those `held_out`.

    See `chosen_classes` for the two arguments. Without `held_out` the test is on the
    classes trained on. Validation is always on the latter. The parts of the set remain:
    training images of classes held out are left out, as are test images of the others,
    and both are counted.

    Raises UserError for a class that isn't known, or that both arguments name.
    """
    if not _given(classes, held_out):
        return loaded
    if loaded.unseen:
        raise UserError(
            f"{loaded.name} tests on classes that it doesn't train on already; leave "
            "data.classes and data.held_out empty."
        )
    names = loaded.class_names
    trained, tested = chosen_classes(names, classes, held_out, seed, loaded.name)
    unread = deepcopy(loaded.unread)
    if len(tested):
        for kind, split, unused in (
            (UNUSED_TRAIN, loaded.train, tested),
            (UNUSED_TEST, loaded.test, trained),
        ):
            unread.add(kind, count=int(np.isin(split.labels, unused).sum()))
    validation = loaded.validation
    return replace(
        loaded,
        source=f"{loaded.source}, {in_words(names, trained, tested)}",
        unread=unread,
        **arrange(
            names,
            train=(loaded.train, trained),
            validation=None if validation is None else (validation, trained),
            test=(loaded.test, tested if len(tested) else trained),
        ),
    )


def _given(classes, held_out) -> bool:
    """Return whether the user has chosen classes to train on or to hold out."""
    return any(np.size(choice) for choice in (classes, held_out))


def chosen_classes(
    names: Sequence[str], classes, held_out, seed: int, what: str
) -> tuple[np.ndarray, np.ndarray]:
    """Return the numbers of the classes to train on, and of those held out.

    `classes` are names; () stands for all but those held out. `held_out` are names, or
    a fraction of the classes, a float, which is drawn by `seed`. A command line may
    give several names as one text with commas. `what` is the name of the set.

    Raises UserError for a class that isn't known, or is to be both, and if fewer than
    two are left to train on.
    """
    known = {readable(name): number for number, name in enumerate(names)}

    def numbers(given):
        return [look_up(known, n, f"class of {what}") for n in _names(given, known)]

    trained = numbers(classes)
    if (share := _share(held_out, known)) is None:
        tested = numbers(held_out)
    else:
        among = np.unique(trained) if trained else np.arange(len(names))
        trained, tested = set_classes_aside(
            among, share, seed, f"classes of {what}", "data.held_out"
        )
        trained, tested = among[trained].tolist(), among[tested].tolist()
    both = sorted({*trained} & {*tested})
    if both:
        raise UserError(
            f"data.classes and data.held_out both name {names[both[0]]!r}; a class is "
            "either trained on or held out."
        )
    trained = trained or [n for n in known.values() if n not in {*tested}]
    if len(set(trained)) < 2:
        raise UserError(
            f"data.classes and data.held_out leave {len(set(trained))} of the "
            f"{len(known)} classes of {what} to train on; leave two or more."
        )
    return np.unique(trained).astype(int), np.unique(tested).astype(int)


def _names(given, known) -> list[str]:
    """Return names one by one; a text is one of them, or several between commas."""
    if isinstance(given, str) or not isinstance(given, Iterable):
        given = [given] if given != "" else []
    texts = [readable(str(text)) for text in given]
    parted = [[text] if text in known else text.split(",") for text in texts]
    return [name.strip() for names in parted for name in names if name.strip()]


def in_words(names: Sequence[str], trained, tested) -> str:
    """Return a choice of classes in words."""
    of = f"{len(trained)} of {len(names)} classes trained on"
    if len(tested):
        return f"{of} and {len(tested)} others tested on"
    return f"{of} and {len(trained)} of them tested on"


def _share(held_out, known) -> float | None:
    """Return the fraction of classes that `held_out` stands for, None if it is names.

    A command line may make a tuple or a text of a number.
    """
    if isinstance(held_out, (tuple, list)) and len(held_out) == 1:
        (held_out,) = held_out
    if isinstance(held_out, str) and held_out not in known:
        with suppress(ValueError):
            held_out = held_out if held_out.isdecimal() else float(held_out)
    if not isinstance(held_out, float):
        return None
    if 0 < held_out < 1:
        return held_out
    raise UserError(
        f"data.held_out is {held_out}; expected names of classes, or a fraction of "
        "them between 0 and 1."
    )


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
