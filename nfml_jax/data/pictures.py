"""Picture files as arrays of one size, whatever their format, depth and colors."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from nfml_jax.data.decoding import orientation
from nfml_jax.data.look import Look
from nfml_jax.errors import UserError

# Maximum number of unreadable files that an error names.
NAMED = 10


def decode_all(
    decode: Callable[[Any], tuple[np.ndarray, bool]],
    paths: Sequence | np.ndarray,
    look: Look,
    root: Path | str,
) -> tuple[np.ndarray, list[bool]]:
    """Decode the picture at each path to uint8 `[N, height, width, channels]`.

    The returned list has for each whether it has further frames.

    Raises UserError that names those of `root` that cannot be read.
    """
    shape = len(paths), look.height, look.width, look.channels
    try:
        images = np.empty(shape, np.uint8)
    except MemoryError:
        raise UserError(
            f"{len(paths):,} pictures of {look.height}×{look.width} pixels do not fit "
            "in memory; give a smaller image_size."
        ) from None
    several, broken = [], {}

    def attempt(path):
        try:
            return decode(path)
        except Exception as error:  # PIL raises many kinds, by format
            return error

    with ThreadPoolExecutor() as pool:
        for row, found in enumerate(pool.map(attempt, paths)):
            if isinstance(found, Exception):
                broken[paths[row]] = found
                continue
            images[row], more = found
            several.append(more)
    if broken:
        raise UserError(_broken(broken, root)) from next(iter(broken.values()))
    return images, several


def _broken(broken: dict, root) -> str:
    """Return a sentence on files that cannot be read, by the error of each."""
    named = [
        f"{path} ({picture_problem(e)})" for path, e in list(broken.items())[:NAMED]
    ]
    if len(broken) == 1:
        ((path, error),) = broken.items()
        return (
            f"{root} holds {path}, which cannot be read as an image "
            f"({picture_problem(error)}); replace or remove it."
        )
    more = f" and {len(broken) - NAMED:,} more" if len(broken) > NAMED else ""
    return (
        f"{root} holds {len(broken):,} files that cannot be read as images: "
        f"{', '.join(named)}{more}; replace them or take them away."
    )


def read_picture(path: Path | str, look: Look) -> np.ndarray:
    """Return one picture file's pixels, uint8 `[height, width, channels]`.

    Raises UserError if it cannot be read.
    """
    try:
        return look.decode(Path(path).read_bytes())
    except Exception as error:  # PIL raises many kinds, by format
        raise UserError(
            f"{path} cannot be read as an image ({picture_problem(error)}); give "
            "another file."
        ) from error


def picture_problem(error: Exception) -> str:
    """Return why a picture cannot be read, in words."""
    from PIL import UnidentifiedImageError

    if isinstance(error, UnidentifiedImageError):
        return "it has the format of none"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def picture_size(path: Path | str) -> tuple[int, int]:
    """Return the width and height in pixels of a readable picture file, upright."""
    from PIL import Image

    with Image.open(path) as image:
        if image.format == "TIFF":
            image.load()  # which turns it
        width, height = image.size
        return (height, width) if orientation(image) >= 5 else (width, height)
