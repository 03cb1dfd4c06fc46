"""Training images left out by a file that lists them, as `nfml outliers` writes."""

import json
from dataclasses import fields
from pathlib import Path

import numpy as np

from nfml_jax.data.arrays import ImageData, make_image_data
from nfml_jax.errors import UserError
from nfml_jax.ops.labels import check_labels


def write_left_out(path: Path, data: ImageData, rows) -> None:
    """Write a file that lists `rows` `[M]` of the training images of `data`."""
    listed = {"data": data.digest, "train": np.asarray(rows).tolist()}
    path.write_text(json.dumps(listed))


def leave_out(data: ImageData, path: Path | str) -> ImageData:
    """Return `data` without the training images that a file of `write_left_out` lists.

    Raises UserError if the file can't be read, or lists images of other data.
    """
    path = Path(path).expanduser()
    try:
        listed = json.loads(path.read_text(encoding="utf-8-sig"))
        digest, rows = listed["data"], np.array(listed["train"], int)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{path} can't be read as a list of images to leave out ({error}); give a "
            "file that `python -m nfml_jax outliers` wrote."
        ) from None
    if digest != data.digest:
        raise UserError(
            f"{path} lists images of other data than {data.name} from {data.source}; "
            "list them by a run on these, or set data.* as they were in its config."
        )
    rows = check_labels(rows, len(rows), len(data.train), f"the images of {path}")
    kept = np.setdiff1d(np.arange(len(data.train)), rows)
    parts = {f.name: getattr(data, f.name) for f in fields(data) if f.name != "digest"}
    source = f"{data.source}, {len(data.train) - len(kept)} training images left out"
    return make_image_data(**parts | {"source": source, "train": data.train.take(kept)})
