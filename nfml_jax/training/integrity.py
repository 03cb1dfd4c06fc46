"""Tests of whether a checkpoint on disk is intact."""

import zlib
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np

PyTree = Any

# Exceptions that orbax and tensorstore raise for files that are missing, short,
# garbled, folders, or JSON of another kind. For an unreadable array orbax raises a bare
# Exception.
DAMAGE = (
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    IndexError,
    FileNotFoundError,
    IsADirectoryError,
    NotADirectoryError,
)
# Phrases by which tensorstore reports a failed attempt, in any type of exception.
ATTEMPT = ("PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "Too many open files")


def leaf_types(tree: PyTree) -> dict[str, str]:
    """Return the type of every leaf: {"params/head/w": "float32[3]"}."""
    return {
        jax.tree_util.keystr(path, simple=True, separator="/"): (
            f"{leaf.dtype}{list(leaf.shape)}"
        )
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
    }


def checksum(tree: PyTree) -> int:
    """Return the CRC-32 of all leaves' bytes, in order of their paths."""
    total = 0
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    for _, leaf in sorted(leaves, key=lambda item: jax.tree_util.keystr(item[0])):
        data = np.ascontiguousarray(jax.device_get(leaf))
        total = zlib.crc32(data.view(np.uint8).reshape(-1).data, total)
    return total


def verify(tree: PyTree, meta: dict, part: str) -> None:
    """Raise ValueError unless `tree` has the checksum that `meta` has for `part`."""
    if checksum(tree) != meta["checksums"][part]:
        raise ValueError(f"the checksum of its {part} doesn't match")


def is_damage(problem: Exception) -> bool:
    """Return whether an exception means that the files are damaged.

    A failed attempt to read intact files, such as a refused permission, is no damage.
    """
    *_, cause = _causes(problem)
    damage = isinstance(cause, DAMAGE) or type(cause) is Exception
    return damage and not is_failed_attempt(problem)


def is_failed_attempt(problem: Exception) -> bool:
    """Return whether the system refused to read the files."""
    *_, cause = _causes(problem)
    if isinstance(cause, OSError) and not isinstance(cause, DAMAGE):
        return True
    return any(words in str(cause) for words in ATTEMPT)


def first_line(problem: Exception) -> str:
    """Return the message of an exception, short enough for a sentence."""
    *_, cause = _causes(problem)
    lines = str(cause).strip().splitlines() or [type(cause).__name__]
    return lines[0][:200].rstrip(".")


def _causes(problem: BaseException | None) -> Iterator[BaseException]:
    """Yield an exception and, while it is a bare one, its cause."""
    while problem is not None:
        yield problem
        problem = problem.__cause__ if type(problem) is Exception else None
