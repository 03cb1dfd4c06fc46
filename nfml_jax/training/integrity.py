"""Whether a checkpoint on disk is what was saved."""

import zlib
from typing import Any

import jax
import numpy as np

PyTree = Any

# What orbax and tensorstore raise for files that are missing, short or garbled.
DAMAGE = (ValueError, KeyError, FileNotFoundError)


def leaf_types(tree: PyTree) -> dict[str, str]:
    """The type of every leaf: {"params/head/w": "float32[3]"}."""
    return {
        jax.tree_util.keystr(path, simple=True, separator="/"): (
            f"{leaf.dtype}{list(leaf.shape)}"
        )
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
    }


def checksum(tree: PyTree) -> int:
    """CRC-32 of all leaves' bytes, in order of their paths."""
    total = 0
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    for _, leaf in sorted(leaves, key=lambda item: jax.tree_util.keystr(item[0])):
        data = np.ascontiguousarray(jax.device_get(leaf))
        total = zlib.crc32(data.view(np.uint8).reshape(-1).data, total)
    return total


def verify(tree: PyTree, meta: dict, part: str) -> None:
    """ValueError unless `tree` has the checksum that `meta` has for `part`."""
    if checksum(tree) != meta["checksums"][part]:
        raise ValueError(f"the checksum of its {part} doesn't match")


def is_damage(problem: Exception) -> bool:
    """Whether the files themselves are bad, not the attempt to read them."""
    # tensorstore has one exception for all its errors.
    words = ("PERMISSION_DENIED", "RESOURCE_EXHAUSTED")
    return isinstance(problem, DAMAGE) and not any(w in str(problem) for w in words)


def first_line(problem: Exception) -> str:
    """What an exception has to say, short enough for a sentence."""
    lines = str(problem).strip().splitlines() or [type(problem).__name__]
    return lines[0][:200].rstrip(".")
