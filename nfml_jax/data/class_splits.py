"""Which classes of a data set are trained on, and which kept to validate or test."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from nfml_jax.data.arrays import Loaded, Split, stratified
from nfml_jax.errors import UserError
from nfml_jax.names import look_up


def arrange(names: Sequence[str], **parts: tuple[Split, Sequence[int]] | None) -> dict:
    """The fields of a `Loaded` that trains on some classes and tests on any.

    A part (train, validation, test) is a split, whose labels number `names`, and the
    classes to keep of it; None stays None. Labels are renumbered: those of the training
    classes come first, then the unseen ones.
    """
    parts = {part: given for part, given in parts.items() if given is not None}
    trained = np.unique(parts["train"][1])
    wanted = np.unique(np.concatenate([classes for _, classes in parts.values()]))
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
        **{part: renumbered(*given) for part, given in parts.items()},
    }


def choose_classes(
    loaded: Loaded, classes: Sequence[str], held_out: Sequence[str]
) -> Loaded:
    """Train on `classes` alone, test on those `held_out` alone, both by name.

    Without `classes` train on all but those held out; without any held out test on the
    classes trained on. Those validated on are always these.

    Raises UserError for a class that isn't known, or is to be both.
    """
    if not (len(classes) or len(held_out)):
        return loaded
    if loaded.unseen:
        raise UserError(
            f"{loaded.name} tests on classes of its own already; leave data.classes "
            "and data.held_out empty."
        )
    known = {name: number for number, name in enumerate(loaded.class_names)}
    what = f"class of {loaded.name}"
    trained = [look_up(known, str(name), what) for name in classes]
    tested = [look_up(known, str(name), what) for name in held_out]
    both = [name for name, number in known.items() if number in {*trained} & {*tested}]
    if both:
        raise UserError(
            f"data.classes and data.held_out both name {both[0]!r}; a class is either "
            "trained on or held out."
        )
    trained = trained or [n for n in known.values() if n not in tested]
    if len(set(trained)) < 2:
        raise UserError(
            f"data.classes and data.held_out leave {len(set(trained))} of the "
            f"{len(known)} classes of {loaded.name} to train on; leave two or more."
        )
    validation = loaded.validation
    tested = tested or trained
    return replace(
        loaded,
        source=f"{loaded.source}, {len(set(trained))} of {len(known)} classes trained "
        f"on and {len(set(tested))} {'others' if held_out else 'of them'} tested on",
        **arrange(
            loaded.class_names,
            train=(loaded.train, trained),
            validation=None if validation is None else (validation, trained),
            test=(loaded.test, tested),
        ),
    )


def set_classes_aside(units: np.ndarray, share: float, seed: int, what: str):
    """Classes without, and as, a random part, by number; all of a unit go together.

    `units [C]` is what each class belongs to: its alphabet, or itself. `share` is a
    fraction below 1, or a count, of the units; 0 sets none aside.
    """
    names = np.unique(units)
    most = len(names) - 1
    if 0 < share < 1:
        share = min(max(round(share * len(names)), 1), most)
    if share not in range(most + 1):
        raise UserError(
            f"validation is {share}; of {len(names)} {what} it must be 0, a fraction "
            f"below 1 or a whole number up to {most}."
        )
    count = int(share)
    if not count:
        return np.arange(len(units)), np.zeros(0, int)
    chosen, _ = stratified(np.zeros(len(names), int), count, seed)
    aside = np.isin(units, names[chosen])
    return np.flatnonzero(~aside), np.flatnonzero(aside)


def shrink_classes(labels, classes, limit: int | None, seed: int, what: str):
    """Of `classes` so many, drawn, that they have `limit` images; at least two.

    Classes are kept whole, for a class of few images teaches little of it. None keeps
    all of them.
    """
    if limit is None:
        return classes
    if limit < 1:
        raise UserError(f"{what} is {limit}; it must be at least 1, or 0 for all.")
    drawn = np.argsort(np.random.PCG64(seed).random_raw(len(classes)), kind="stable")
    sizes = np.bincount(labels, minlength=max(classes) + 1)[np.asarray(classes)[drawn]]
    count = max(2, int(np.searchsorted(np.cumsum(sizes), limit, side="right")))
    return np.sort(np.asarray(classes)[drawn[:count]])
