"""Arrays in memory that record their source: the result of loading any data set."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nfml_jax.data.data_set import DataSet, Stored, digest
from nfml_jax.data.pairs import Pairs
from nfml_jax.data.unread import Unread
from nfml_jax.errors import UserError
from nfml_jax.ops.labels import check_labels


@dataclass(frozen=True)
class Split:
    """Images uint8 `[N, H, W, C]` with labels int32 `[N]`.

    `about` has further values for each image, `[N]` by name, such as its drawer.
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
