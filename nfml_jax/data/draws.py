"""Draws of parts of labeled examples, in the proportions of their classes.

A draw is a function of the labels, the count and the seed only.
"""

from collections.abc import Sized

import numpy as np

from nfml_jax.data.arrays import Split
from nfml_jax.errors import UserError


def stratified(labels: np.ndarray, count: int, seed: int = 0):
    """Return indices of `count` examples in the classes' proportions, and of the rest.

    Both are in ascending order. The draw is a function of the labels, the count and the
    seed only: it uses a bit generator's raw stream, which numpy keeps fixed from
    version to version.
    """
    order = np.argsort(np.random.PCG64(seed).random_raw(len(labels)), kind="stable")
    _, inverse, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    quota = sizes * count / len(labels)
    share = quota.astype(int)
    # The largest remainders take the examples that rounding down has left over.
    left_over = np.argsort(share - quota, kind="stable")[: count - share.sum()]
    share[left_over] += 1
    # The rows of a class follow each other here, in the order that was drawn.
    by_class = order[np.argsort(inverse[order], kind="stable")]
    place = np.arange(len(labels)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    mask = np.zeros(len(labels), bool)
    mask[by_class[place < np.repeat(share, sizes)]] = True
    return np.flatnonzero(mask), np.flatnonzero(~mask)


def with_every_class(labels: np.ndarray, kept: np.ndarray, rest: np.ndarray):
    """Return `kept` and `rest` after `kept` took one example of each class it lacks.

    The training part must have every class: a class's only example is of no use in a
    test.
    """
    lacking = rest[~np.isin(labels[rest], labels[kept])]
    moved = lacking[np.unique(labels[lacking], return_index=True)[1]]
    return np.sort(np.r_[kept, moved]), np.setdiff1d(rest, moved)


def shrink(split: Split, limit: int | None, seed: int, what: str) -> Split:
    """Return `limit` examples of a split, stratified, but at least one per class.

    None keeps all of it.
    """
    if limit is None or limit >= len(split):
        return split
    if limit < 1:
        raise UserError(f"{what} is {limit}; it must be at least 1, or 0 for all.")
    chosen, rest = stratified(split.labels, limit, seed)
    return split.take(with_every_class(split.labels, chosen, rest)[0])


def set_aside(train: Split, validation: float, seed: int):
    """Return a split without a validation part, and that part, or None.

    The part is stratified. `validation` is a fraction below 1, or a count from 1 up; 0
    sets nothing aside. A class's only training image stays there. If the part would
    have no two images of one class, it is made of pairs from fewer classes: from at
    least two, if it is a fraction.
    """
    count = validation_count(train, validation)
    if not count:
        return train, None
    chosen, rest = stratified(train.labels, count, seed)
    rest, chosen = with_every_class(train.labels, rest, chosen)
    if len(np.unique(train.labels[chosen])) == len(chosen):
        least = 4 if validation < 1 else 0
        paired = _paired(train.labels, max(count, least), seed)
        if len(paired):
            chosen = paired
            rest = np.setdiff1d(np.arange(len(train)), chosen)
    return train.take(rest), train.take(chosen) if len(chosen) else None


def validation_count(train: Sized, validation: float) -> int:
    """Return the number of training images that `validation` sets aside.

    A fraction is at least one image, but none of a single one.

    Raises UserError unless it is 0, a fraction below 1 or a count.
    """
    if not validation:
        return 0
    most = max(len(train) - 1, 0)
    if 0 < validation < 1:
        return min(max(round(validation * len(train)), 1), most)
    if 1 <= validation <= most and validation == int(validation):
        return int(validation)
    raise UserError(
        f"validation is {validation}; with {len(train)} training images it must "
        f"be 0, a fraction below 1 or an integer below {len(train)}."
    )


def _paired(labels: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Return indices of about `count` images, two from each class drawn, ascending.

    A class gives two if it has three. There are none unless two classes give some.
    """
    order = np.argsort(np.random.PCG64(seed).random_raw(len(labels)), kind="stable")
    classes, inverse, sizes = np.unique(
        labels[order], return_inverse=True, return_counts=True
    )
    by_class = order[np.argsort(inverse, kind="stable")]
    first = np.cumsum(sizes) - sizes
    giving = np.flatnonzero(sizes >= 3)
    drawn = np.argsort(
        np.random.PCG64(seed).random_raw(len(classes))[giving], kind="stable"
    )
    begin = first[giving[drawn[: count // 2]]]
    if len(begin) < 2:
        return np.zeros(0, int)
    return np.sort(np.concatenate([by_class[begin], by_class[begin + 1]]))
