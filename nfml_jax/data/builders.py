"""TFDS builders of the IDX sets, in array_record: no TensorFlow needed.

Importing this module registers them with tfds, such as `nfml_mnist`. It takes a second
or two, so the rest of the package imports it only where it is used.
"""

import contextlib
import io
import logging
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any, cast

import numpy as np
import tensorflow_datasets as tfds
from tensorflow_datasets.proto import tf_example_pb2

from nfml_jax.data import idx
from nfml_jax.data.idx_sets import IDX_SETS, PREPARED_VERSION, IdxSet

# Protobuf makes its classes at import, where no type checker sees them.
Example = cast(Any, tf_example_pb2).Example
SPLITS = {"train": "train", "test": "t10k"}


class Damaged(Exception):
    """A prepared folder that cannot be read back as it was written."""


class IdxBuilder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """A builder with one example per record, in the files' order, and their md5s.

    Images are stored as plain bytes, so that `read` can take them in bulk. The metadata
    keep the md5 of each plain IDX file the records were made from.
    """

    SPEC: IdxSet
    VERSION = tfds.core.Version(PREPARED_VERSION)
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        "Put the four IDX files, plain or .gz, in manual_dir."
    )

    def __init__(self, *, file_format="array_record", **kwargs):
        super().__init__(file_format=file_format, **kwargs)

    def _info(self):
        image = tfds.features.Tensor(
            shape=(28, 28, 1), dtype=np.uint8, encoding=tfds.features.Encoding.BYTES
        )
        label = tfds.features.ClassLabel(names=list(self.SPEC.class_names))
        return tfds.core.DatasetInfo(
            builder=self,
            description=f"{self.SPEC.title}, from its IDX files.",
            homepage=self.SPEC.homepage,
            features=tfds.features.FeaturesDict({"image": image, "label": label}),
            supervised_keys=("image", "label"),
            disable_shuffling=True,
            metadata=tfds.core.MetadataDict(),
        )

    def _split_generators(self, dl_manager):
        paths = idx.find_parts(Path(dl_manager.manual_dir))
        assert paths is not None  # the files existed when the preparation began
        parts = idx.read_parts(paths, len(self.SPEC.class_names))
        cast(Any, self.info).metadata["md5"] = idx.md5s(parts)
        return {
            split: self._generate_examples(
                parts[f"{prefix}-images"], parts[f"{prefix}-labels"]
            )
            for split, prefix in SPLITS.items()
        }

    def _generate_examples(self, images, labels):
        for i, (image, label) in enumerate(zip(images, labels, strict=True)):
            yield i, {"image": image[..., None], "label": int(label)}


def _builder(spec: IdxSet) -> type[IdxBuilder]:
    """Return the builder of a set; tfds names a builder by its class."""
    name = "".join(word.title() for word in spec.builder_name.split("_"))
    members = {"__doc__": f"The builder of {spec.title}.", "__module__": __name__}
    return type(name, (IdxBuilder,), members | {"SPEC": spec})


BUILDERS = {name: _builder(spec) for name, spec in IDX_SETS.items()}


@contextlib.contextmanager
def _quiet():
    """Suppress progress bars, notices on stdout and absl warnings of tfds."""
    tfds.disable_progress_bar()
    absl = logging.getLogger("absl")
    level = absl.level
    absl.setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        absl.setLevel(level)


def _open(folder: Path):
    """Return a prepared folder's builder, md5s, and raw records of its splits."""
    try:
        with _quiet():
            # The annotations of tfds are those of any builder, and partly wrong.
            builder = cast(Any, tfds.builder_from_directory(folder))
            sources = {
                split: builder.as_data_source(
                    split, deserialize_method=tfds.decode.DeserializeMethod.RAW_BYTES
                )
                for split in SPLITS
            }
            return builder, dict(builder.info.metadata["md5"]), sources
    except Exception as error:  # tfds and array_record raise many kinds
        raise Damaged(f"{type(error).__name__}: {error}".splitlines()[0]) from error


def prepared_md5s(folder: Path) -> dict[str, str]:
    """Return the md5s of the IDX files a prepared folder was made from, by part.

    Raises Damaged if the folder is half-prepared.
    """
    return _open(folder)[1]


def read(folder: Path) -> dict[str, np.ndarray]:
    """Return the four arrays of a prepared folder, checked against the recorded md5s.

    The records are parsed in bulk: 70,000 images take about a second and a half, while
    decoding them one at a time through tfds takes six.

    Raises Damaged if they are not those that were written.
    """
    builder, md5s, sources = _open(folder)
    shape = builder.info.features["image"].shape[:-1]
    parts = {}
    try:
        for split, source in sources.items():
            features = [
                Example.FromString(record).features.feature
                for record in source.__getitems__(range(len(source)))
            ]
            pixels = b"".join(f["image"].bytes_list.value[0] for f in features)
            images = np.frombuffer(pixels, np.uint8).reshape(-1, *shape)
            labels = [f["label"].int64_list.value[0] for f in features]
            parts[f"{SPLITS[split]}-images"] = images
            parts[f"{SPLITS[split]}-labels"] = np.array(labels, np.uint8)
    except Exception as error:
        raise Damaged(f"{type(error).__name__}: {error}".splitlines()[0]) from error
    if idx.md5s(parts) != md5s:
        raise Damaged("the records do not have the md5 noted in the metadata")
    return parts


def _remove(folder: Path) -> None:
    """Rename a folder, then remove it, so that no half of it is ever visible."""
    aside = Path(tempfile.mkdtemp(prefix=".damaged-", dir=folder.parent))
    with contextlib.suppress(FileNotFoundError):  # another process was faster
        os.rename(folder, aside / folder.name)
    shutil.rmtree(aside)


def prepare(name: str, manual_dir: Path, folder: Path) -> None:
    """Prepare a set from IDX files into `folder`, unless it is there and intact.

    tfds writes to a temporary folder beside it and renames that when done, so several
    processes may do this at once: the first to finish wins and the others see its
    result.

    Raises OSError if the folder cannot be written.
    """
    data_dir = folder.parents[1]
    if folder.exists():
        try:
            read(folder)
            return
        except Damaged:
            _remove(folder)
    config = tfds.download.DownloadConfig(manual_dir=manual_dir)
    try:
        with _quiet():
            builder = BUILDERS[name](data_dir=data_dir)
            builder.download_and_prepare(
                download_dir=data_dir / "downloads", download_config=config
            )
    except OSError:
        if not folder.exists():
            raise
