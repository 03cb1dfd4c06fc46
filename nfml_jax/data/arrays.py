"""What every data set becomes: labelled uint8 images in plain numpy arrays."""

import hashlib
from dataclasses import dataclass

import numpy as np

from nfml_jax.errors import UserError


@dataclass(frozen=True)
class Split:
    """Images uint8 [N, H, W, C] with labels int32 [N]."""

    images: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, indices) -> "Split":
        return Split(self.images[indices], self.labels[indices])


@dataclass(frozen=True)
class ImageData:
    """A data set in memory, with the name, source and digest that results cite."""

    name: str
    source: str
    digest: str
    class_names: tuple[str, ...]
    train: Split
    validation: Split | None
    test: Split

    @property
    def num_classes(self) -> int:
        return len(self.class_names)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        return self.train.images.shape[1:]

    def summary(self) -> dict:
        """What ``result.json`` keeps: name, source, digest and the counts."""
        return {
            "name": self.name,
            "source": self.source,
            "digest": self.digest,
            "train": len(self.train),
            "validation": len(self.validation) if self.validation else 0,
            "test": len(self.test),
        }

    def describe(self) -> str:
        """One line for the header of a run."""
        counts = [f"{len(self.train):,} training"]
        if self.validation:
            counts.append(f"{len(self.validation):,} validation")
        counts.append(f"{len(self.test):,} test")
        shape = "×".join(map(str, self.image_shape))
        return (
            f"{self.name}: {' + '.join(counts)} images {shape}, "
            f"{self.num_classes} classes, from {self.source} ({self.digest[:15]}…)"
        )


@dataclass(frozen=True)
class Loaded:
    """What a loader returns: all of a data set, before anything is set aside."""

    name: str
    source: str
    class_names: tuple[str, ...]
    train: Split
    test: Split


def make_image_data(name, source, class_names, train, test, validation=None):
    """An :class:`ImageData` with its digest: sha256 over shapes and bytes in order."""
    sha = hashlib.sha256()
    for split in (train, validation, test):
        for array in () if split is None else (split.images, split.labels):
            sha.update(f"{array.dtype.str}{array.shape}".encode())
            sha.update(np.ascontiguousarray(array))
    digest = f"sha256:{sha.hexdigest()}"
    return ImageData(name, source, digest, tuple(class_names), train, validation, test)


def stratified(labels: np.ndarray, count: int, seed: int = 0):
    """Indices of ``count`` examples in the classes' own proportions, and of the rest.

    Both come back in ascending order. The draw is a function of the labels, the count
    and the seed alone: it uses a bit generator's raw stream, which numpy keeps fixed
    from version to version.
    """
    order = np.argsort(np.random.PCG64(seed).random_raw(len(labels)), kind="stable")
    classes, inverse, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    quota = sizes * count / len(labels)
    share = quota.astype(int)
    # The largest remainders take what rounding down left over.
    left_over = np.argsort(share - quota, kind="stable")[: count - share.sum()]
    share[left_over] += 1
    chosen = np.concatenate(
        [order[inverse[order] == c][: share[c]] for c in range(len(classes))]
    )
    mask = np.zeros(len(labels), bool)
    mask[chosen] = True
    return np.flatnonzero(mask), np.flatnonzero(~mask)


def shrink(split: Split, limit: int | None, seed: int, what: str) -> Split:
    """At most ``limit`` examples of a split, stratified; None keeps all of it."""
    if limit is None or limit >= len(split):
        return split
    if limit < 1:
        raise UserError(f"{what} is {limit}; it must be at least 1, or None for all.")
    return split.take(stratified(split.labels, limit, seed)[0])


def set_aside(train: Split, validation: float, seed: int):
    """Training split without, and as, a stratified validation part.

    ``validation`` is a fraction below 1, or a count from 1 up; 0 sets nothing aside.
    """
    if not validation:
        return train, None
    count = round(validation * len(train)) if 0 < validation < 1 else int(validation)
    if not 0 < count < len(train) or (validation > 1 and count != validation):
        raise UserError(
            f"validation is {validation}; with {len(train)} training images it must "
            f"be 0, a fraction below 1 or a whole number below {len(train)}."
        )
    chosen, rest = stratified(train.labels, count, seed)
    return train.take(rest), train.take(chosen)
