"""The result of loading pictures of integer levels, and draws of their parts."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from nfml_jax.data.class_splits import set_classes_aside
from nfml_jax.data.data_set import DataSet, digest
from nfml_jax.data.draws import stratified, validation_count
from nfml_jax.data.unread import Unread
from nfml_jax.errors import UserError
from nfml_jax.ops.levels import MOST_LEVELS, check_levels


@dataclass(frozen=True)
class Pictures:
    """Pictures uint8 or uint16 `[N, H, W, C]`, with labels int32 `[N]` or None.

    `groups` `[N]` numbers pictures that stay together when some are set aside, such as
    those of one person.
    """

    images: np.ndarray
    labels: np.ndarray | None = None
    groups: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.images)

    def take(self, rows) -> "Pictures":
        """Return the pictures of these rows."""
        labels = None if self.labels is None else self.labels[rows]
        groups = None if self.groups is None else self.groups[rows]
        return Pictures(self.images[rows], labels, groups)


@dataclass(frozen=True)
class LoadedPixels:
    """The result of a loader; `validation` is None if nothing is set aside yet."""

    name: str
    source: str
    train: Pictures
    test: Pictures
    validation: Pictures | None = None
    levels: int = 256
    classes: tuple[str, ...] = ()
    unread: Unread = field(default_factory=Unread)

    @property
    def parts(self) -> dict[str, Pictures]:
        """The parts that exist, by name."""
        parts = {"train": self.train, "validation": self.validation, "test": self.test}
        return {name: part for name, part in parts.items() if part is not None}


@dataclass(frozen=True)
class PixelData(DataSet):
    """Pictures of `levels` integer levels, uint8 or uint16 `[N, H, W, C]`.

    With classes, `labels` has for each part the class numbers int32 `[N]`.
    """

    levels: int
    train: np.ndarray
    validation: np.ndarray | None
    test: np.ndarray
    labels: Mapping[str, np.ndarray]
    classes: tuple[str, ...] = ()
    unread: Unread = field(default_factory=Unread)

    @property
    def event_shape(self) -> tuple[int, int, int]:
        """The height, the width and the number of channels of a picture."""
        return self.train.shape[1:]

    @property
    def names(self) -> tuple[str, ...]:
        return self.classes

    @property
    def rows(self) -> str:
        shape = "×".join(map(str, self.event_shape))
        words = f"pictures {shape} of {self.levels:,} levels"
        return f"{words}, {len(self.classes):,} classes" if self.classes else words

    @property
    def left_out(self) -> str:
        return self.unread.words()

    def summary(self) -> dict:
        """Return the entry of `result.json`: name, source, digest, counts, levels."""
        more: dict = {"levels": self.levels, "event_shape": list(self.event_shape)}
        if self.unread.counts:
            more["left_out"] = self.unread.summary()
        return super().summary() | more


def make_pixel_data(loaded: LoadedPixels) -> PixelData:
    """Check a set and make a `PixelData` with its digest.

    Raises:
      UserError: A part is empty, parts differ in size, or levels aren't covered.
    """
    shape = loaded.train.images.shape[1:]
    arrays = []
    for part, pictures in loaded.parts.items():
        images = pictures.images
        if not len(images):
            raise UserError(
                f"{loaded.name} has no {part} pictures; each part needs one."
            )
        if images.shape[1:] != shape:
            raise UserError(
                f"{loaded.name} has training pictures {list(shape)} and {part} "
                f"pictures {list(images.shape[1:])}; give pictures of one size."
            )
        check_levels(images, loaded.levels, f"{part} pictures of {loaded.name}")
        arrays += [images] if pictures.labels is None else [images, pictures.labels]
    labels = {
        part: pictures.labels
        for part, pictures in loaded.parts.items()
        if pictures.labels is not None
    }
    validation = loaded.validation
    return PixelData(
        name=loaded.name,
        source=loaded.source,
        digest=digest(arrays),
        levels=loaded.levels,
        train=loaded.train.images,
        validation=None if validation is None else validation.images,
        test=loaded.test.images,
        labels=labels,
        classes=loaded.classes,
        unread=loaded.unread,
    )


def set_part_aside(loaded: LoadedPixels, validation: float, seed: int) -> LoadedPixels:
    """Return a set with a validation part, drawn from the training pictures by `seed`.

    It is `validation` of them, a fraction below 1 or a count: of groups if there are
    any, else stratified by class. 0 sets none aside.
    """
    train = loaded.train
    if not validation or loaded.validation is not None:
        return loaded
    if train.groups is not None:
        kept, aside = set_classes_aside(
            np.unique(train.groups), validation, seed, "groups of pictures"
        )
        groups = np.unique(train.groups)
        kept = np.flatnonzero(np.isin(train.groups, groups[kept]))
        aside = np.flatnonzero(np.isin(train.groups, groups[aside]))
    else:
        count = validation_count(train, validation)
        if not count:
            return loaded
        aside, kept = _drawn(train, count, seed)
    return replace(loaded, train=train.take(kept), validation=train.take(aside))


def shrink_part(loaded: LoadedPixels, part: str, limit: int | None, seed: int):
    """Return a set with at most `limit` pictures in a part; None or 0 keeps all.

    The name of a set with fewer pictures includes their number.
    """
    pictures = loaded.parts[part]
    if not limit or limit >= len(pictures):
        return loaded
    chosen, _ = _drawn(pictures, limit, seed)
    fewer: dict = {part: pictures.take(chosen)}
    return replace(loaded, name=f"{loaded.name}_{part}{limit}", **fewer)


def summed_over_blocks(loaded: LoadedPixels, side: int) -> LoadedPixels:
    """Return a set whose pixels are sums over blocks of `side` × `side` pixels.

    Sums keep every bit: 4 × 4 blocks of 8-bit pixels have 4,081 levels.
    """
    if side == 1:
        return loaded
    height, width, _ = loaded.train.images.shape[1:]
    if height % side or width % side:
        raise UserError(
            f"data.sum_blocks={side} doesn't divide pictures of {height}×{width} "
            "pixels; take a common divisor."
        )
    levels = side**2 * (loaded.levels - 1) + 1
    if levels > MOST_LEVELS:
        raise UserError(
            f"data.sum_blocks={side} gives {levels:,} levels; at most {MOST_LEVELS:,} "
            "are possible, so take smaller blocks."
        )
    kind = np.uint8 if levels <= 256 else np.uint16

    def summed(pictures):
        n, h, w, c = pictures.images.shape
        x = pictures.images.reshape(n, h // side, side, w // side, side, c)
        return replace(pictures, images=x.sum(axis=(2, 4), dtype=kind))

    validation = loaded.validation
    return replace(
        loaded,
        name=f"{loaded.name}_sum{side}",
        source=f"{loaded.source}, {side}×{side} pixels summed",
        levels=levels,
        train=summed(loaded.train),
        validation=None if validation is None else summed(validation),
        test=summed(loaded.test),
    )


def _drawn(pictures: Pictures, count: int, seed: int):
    """Return rows of `count` pictures, and the others; both ascending."""
    labels = pictures.labels
    return stratified(
        np.zeros(len(pictures), int) if labels is None else labels, count, seed
    )
