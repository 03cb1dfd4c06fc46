"""IDX files, the format of MNIST (LeCun, Cortes, Burges), read with checks."""

import gzip
import hashlib
import math
import zlib
from pathlib import Path

import numpy as np

from nfml_jax.errors import UserError

# Part -> number of axes. The names are those of the published files.
PARTS = {"train-images": 3, "train-labels": 1, "t10k-images": 3, "t10k-labels": 1}


def file_name(part: str) -> str:
    """Return the published name of a part, without .gz: `train-images-idx3-ubyte`."""
    return f"{part}-idx{PARTS[part]}-ubyte"


def find_parts(folder: Path) -> dict[str, Path] | None:
    """Return the paths of the four files in a folder; None if it holds none of them.

    They are plain or .gz, and either `train-images-idx3-ubyte` or
    `train-images.idx3-ubyte`. Raises UserError if the folder holds some of the four but
    not all.
    """
    found = {}
    for part in PARTS:
        dashed = file_name(part)
        dotted = dashed.replace("-idx", ".idx")
        for name in (dashed, dotted, f"{dashed}.gz", f"{dotted}.gz"):
            if (folder / name).is_file():
                found[part] = folder / name
                break
    missing = [f"{file_name(part)}.gz" for part in PARTS if part not in found]
    if found and missing:
        raise UserError(
            f"{folder} holds {found.popitem()[1].name} but not {', '.join(missing)}: "
            "all four IDX files are needed."
        )
    return found or None


def _content(path: Path) -> bytes:
    try:
        raw = path.read_bytes()
        return gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(
            f"{path} cannot be read ({error}): it is damaged or incomplete; "
            "copy or download it again."
        ) from error


def read_idx(path: Path, ndim: int) -> np.ndarray:
    """Return the uint8 array of `ndim` axes in an IDX file, gzipped or plain.

    Raises UserError if the file is empty, damaged, of another kind or of another length
    than its header says.
    """
    content = _content(path)
    if not content:
        raise UserError(f"{path} is empty; copy or download it again.")
    header = _header((0,) * ndim)
    if content[:4] != header[:4]:
        raise UserError(
            f"{path} starts with {content[:4].hex(' ')}; an IDX file of uint8 with "
            f"{ndim} axes starts with {header[:4].hex(' ')}."
        )
    if len(content) < len(header):
        raise UserError(f"{path} ends within its header; copy or download it again.")
    shape = tuple(np.frombuffer(content[4 : len(header)], ">u4").tolist())
    size = len(content) - len(header)
    if size != math.prod(shape):
        raise UserError(
            f"{path} holds {size} bytes after its header, which promises "
            f"{'×'.join(map(str, shape))}; copy or download it again."
        )
    return np.frombuffer(content, np.uint8, offset=len(header)).reshape(shape)


def _header(shape: tuple[int, ...]) -> bytes:
    return bytes([0, 0, 8, len(shape)]) + np.asarray(shape, ">u4").tobytes()


def to_bytes(array: np.ndarray) -> bytes:
    """Return the plain IDX file of a uint8 array."""
    return _header(array.shape) + np.ascontiguousarray(array, np.uint8).tobytes()


def md5(array: np.ndarray) -> str:
    """Return the md5 of the plain IDX file of a uint8 array, as published."""
    return hashlib.md5(to_bytes(array), usedforsecurity=False).hexdigest()


def md5s(parts: dict[str, np.ndarray]) -> dict[str, str]:
    """Return `md5` of each of the four arrays."""
    return {part: md5(parts[part]) for part in PARTS}


def read_parts(paths: dict[str, Path], num_classes: int) -> dict[str, np.ndarray]:
    """Return the four arrays: images uint8 `[N, H, W]`, labels uint8 `[N]`.

    Raises UserError as `read_idx` does, and if images and labels do not belong
    together.
    """
    parts = {part: read_idx(paths[part], ndim) for part, ndim in PARTS.items()}
    for split in ("train", "t10k"):
        images, labels = parts[f"{split}-images"], parts[f"{split}-labels"]
        if len(images) != len(labels):
            raise UserError(
                f"{paths[f'{split}-images']} holds {len(images)} images but "
                f"{paths[f'{split}-labels'].name} holds {len(labels)} labels; "
                "the two must come from the same data set."
            )
        if not images.size:
            raise UserError(f"{paths[f'{split}-images']} holds no pixels.")
        if labels.max() >= num_classes:
            raise UserError(
                f"{paths[f'{split}-labels']} holds the label {labels.max()}; "
                f"expected 0 to {num_classes - 1}."
            )
    if parts["train-images"].shape[1:] != parts["t10k-images"].shape[1:]:
        raise UserError(
            f"{paths['train-images']} and {paths['t10k-images'].name} hold images of "
            "different sizes; they must come from the same data set."
        )
    return parts
