"""The classes to train on and to test on, as a user chooses them."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from copy import deepcopy
from dataclasses import replace

import numpy as np

from nfml_jax.data.arrays import Loaded
from nfml_jax.data.class_splits import arrange, set_classes_aside
from nfml_jax.data.file_names import readable
from nfml_jax.data.unread import UNUSED_TEST, UNUSED_TRAIN
from nfml_jax.errors import UserError
from nfml_jax.ops.names import look_up


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
