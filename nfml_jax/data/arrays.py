"""Arrays in memory that record their source: the result of loading any data set.

Sets of images, and draws of parts of them, are here, too.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol, runtime_checkable

import numpy as np

from nfml_jax.data.pairs import Pairs
from nfml_jax.data.unread import Unread
from nfml_jax.errors import UserError
from nfml_jax.ops.labels import check_labels


@runtime_checkable
class Stored(Protocol):
    """Pictures with the interface of an array that stay in files until read."""

    def samples(self) -> np.ndarray:
        """Return digests of the beginnings of some files, uint8 `[files, 32]`."""
        ...

    def fingerprint(self) -> bytes:
        """Return bytes that change with the pictures' content."""
        ...


@dataclass(frozen=True)
class Split:
    """Images uint8 `[N, H, W, C]` with labels int32 `[N]`.

    `about` has further facts of each image, `[N]` by name, such as who drew it.
    """

    images: np.ndarray
    labels: np.ndarray
    about: Mapping[str, np.ndarray] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, indices) -> "Split":
        about = {name: facts[indices] for name, facts in self.about.items()}
        return Split(self.images[indices], self.labels[indices], about)


@dataclass(frozen=True)
class DataSet:
    """A data set in memory, with the name, source and digest that results cite.

    A subclass has the parts `train`, `validation` (or None) and `test`, and names their
    elements in `rows`.
    """

    name: str
    source: str
    digest: str

    @property
    def rows(self) -> str:
        """The name of the counted elements."""
        raise NotImplementedError

    @property
    def counts(self) -> dict[str, int]:
        """The numbers of elements to train, to validate and to test on."""
        parts = ("train", "validation", "test")
        parts = {part: getattr(self, part) for part in parts}
        return {part: 0 if x is None else len(x) for part, x in parts.items()}

    @property
    def names(self) -> tuple[str, ...]:
        """The names of classes and columns, in the order of their numbers."""
        raise NotImplementedError

    @property
    def more_rows(self) -> tuple[np.ndarray, ...]:
        """Arrays outside the digest that distinguish these data from others."""
        return ()

    @cached_property
    def fingerprint(self) -> str:
        """The digest of everything that a run on these data depends on.

        `digest` is that of the rows and labels only, as results cite it; this one
        includes the names of classes and columns.
        """
        sha = hashlib.sha256()
        for text in (self.digest, *self.names, digest(self.more_rows)):
            content = text.encode(errors="surrogatepass")
            sha.update(len(content).to_bytes(8) + content)
        return f"sha256:{sha.hexdigest()}"

    def summary(self) -> dict:
        """Return the entry of `result.json`: name, source, digests and the counts."""
        named = {
            "name": self.name,
            "source": self.source,
            "digest": self.digest,
            "fingerprint": self.fingerprint,
        }
        return named | self.counts

    def describe(self) -> str:
        """Return one line on the set, with what is left out of its source."""
        return "; left out: ".join(self.header().values())

    def header(self) -> dict[str, str]:
        """Return rows of a run's header: the set, and what is left out if any is."""
        words = {"train": "training", "validation": "validation", "test": "test"}
        counts = [f"{n:,} {words[part]}" for part, n in self.counts.items() if n]
        data = (
            f"{self.name}: {' + '.join(counts)} {self.rows}, from {self.source} "
            f"({self.digest[:15]}…)"
        )
        return {"data": data} | ({"left out": self.left_out} if self.left_out else {})

    @property
    def left_out(self) -> str:
        """The parts of the source that were left out, in words, or ""."""
        return ""


@dataclass(frozen=True)
class ImageData(DataSet):
    """Labeled images and the names of their classes.

    `class_names` are those trained on, and number the labels first; `unseen` are
    further classes, only validated or tested on. `pairs` of rows of `test` are those of
    a verification protocol. `unread` counts what was found and left out.
    """

    class_names: tuple[str, ...]
    train: Split
    validation: Split | None
    test: Split
    unseen: tuple[str, ...] = ()
    pairs: Pairs | None = None
    unread: Unread = field(default_factory=Unread)

    @property
    def num_classes(self) -> int:
        """The number of classes trained on."""
        return len(self.class_names)

    @property
    def label_names(self) -> tuple[str, ...]:
        """The name of every label, of any part."""
        return self.class_names + self.unseen

    @property
    def names(self) -> tuple[str, ...]:
        return self.label_names

    @property
    def more_rows(self) -> tuple[np.ndarray, ...]:
        parts = (self.train, self.validation, self.test)
        stored = [p.images for p in parts if p and isinstance(p.images, Stored)]
        return tuple(images.samples() for images in stored)

    @property
    def open_set(self) -> bool:
        """True if the test has classes that weren't trained on.

        A classifier has no accuracy in that case, because it cannot name them.
        """
        return bool(np.any(self.test.labels >= self.num_classes))

    @property
    def image_shape(self) -> tuple[int, int, int]:
        return self.train.images.shape[1:]

    @property
    def rows(self) -> str:
        shape = "×".join(map(str, self.image_shape))
        words = f"images {shape}, {self.num_classes:,} classes"
        unseen = np.setdiff1d(self.test.labels, np.arange(self.num_classes))
        if len(unseen):
            words += f" and {len(unseen):,} unseen ones to test on"
        if self.pairs is not None:
            words += f", {len(self.pairs):,} pairs"
        return words

    def summary(self) -> dict:
        """Return the entry of `result.json`: name, source, digest and the counts."""
        more: dict[str, Any] = {}
        if self.unseen:
            more["unseen_classes"] = len(self.unseen)
        if self.pairs is not None:
            more["pairs"] = len(self.pairs)
        if self.unread.counts:
            more["left_out"] = self.unread.summary()
        return super().summary() | more

    @property
    def left_out(self) -> str:
        """The parts of the source that were left out, in words, or ""."""
        return self.unread.words()


@dataclass(frozen=True)
class Loaded:
    """The result of a loader: all of a data set, before anything is set aside.

    The fields are those of `ImageData`.
    """

    name: str
    source: str
    class_names: tuple[str, ...]
    train: Split
    test: Split
    validation: Split | None = None
    unseen: tuple[str, ...] = ()
    pairs: Pairs | None = None
    unread: Unread = field(default_factory=Unread)


def make_image_data(
    name,
    source,
    class_names,
    train,
    test,
    validation=None,
    unseen=(),
    pairs=None,
    unread=None,
) -> ImageData:
    """Make an `ImageData` with the `digest` of its images, labels and pairs.

    Raises UserError if a part is empty, or a label is not that of a class.
    """
    known = len(class_names)
    arrays = []
    parts = {"training": train, "validation": validation, "test": test}
    for part, split in parts.items():
        if split is None:
            continue
        if not len(split):
            raise UserError(f"{name} has no {part} images; every part needs some.")
        classes = known + (0 if part == "training" else len(unseen))
        what = f"{part} labels of {name}"
        check_labels(split.labels, len(split.images), classes, what)
        arrays += [split.images, split.labels]
    if pairs is not None:
        arrays += pairs.arrays
    return ImageData(
        name=name,
        source=source,
        digest=digest(arrays),
        class_names=tuple(class_names),
        train=train,
        validation=validation,
        test=test,
        unseen=tuple(unseen),
        pairs=pairs,
        unread=unread or Unread(),
    )


def digest(arrays: Iterable[np.ndarray]) -> str:
    """Return "sha256:…" over the types, shapes and bytes of arrays, in order."""
    sha = hashlib.sha256()
    for array in arrays:
        sha.update(f"{array.dtype.str}{array.shape}".encode())
        stored = isinstance(array, Stored)
        sha.update(array.fingerprint() if stored else np.ascontiguousarray(array).data)
    return f"sha256:{sha.hexdigest()}"


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


def validation_count(train: Split, validation: float) -> int:
    """Return the number of training images that `validation` sets aside.

    Raises UserError unless it is 0, a fraction below 1 or a count.
    """
    if not validation:
        return 0
    most = len(train) - 1
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
