"""Tests of whether a checkpoint on disk is intact."""

import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np

from nfml_jax.errors import UserError

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


def newest_intact(
    steps: Iterable[int], read: Callable[[int], Any], directory: Path
) -> tuple[Any, dict[int, str]]:
    """Return `read(step)` of the first intact step, and the damage before it.

    The damage is a dict from step to reason. The result is `(None, {})` if there are no
    steps.

    Raises UserError if all checkpoints of `directory` are damaged, or if the system
    refuses to read one.
    """
    damaged = {}
    for step in steps:
        try:
            return read(step), damaged
        except UserError:
            raise
        except Exception as problem:
            if is_failed_attempt(problem):
                raise UserError(
                    f"checkpoint {step} in {directory} cannot be read "
                    f"({first_line(problem)}); repair that and try again."
                ) from problem
            if not is_damage(problem):
                raise
            damaged[step] = first_line(problem)
    if damaged:
        reasons = "; ".join(f"{step}: {why}" for step, why in damaged.items())
        raise UserError(
            f"no checkpoint in {directory} is intact ({reasons}); restore "
            "that folder from a copy, or remove it to train from the beginning."
        )
    return None, {}


def _causes(problem: BaseException | None) -> Iterator[BaseException]:
    """Yield an exception and, while it is a bare one, its cause."""
    while problem is not None:
        yield problem
        problem = problem.__cause__ if type(problem) is Exception else None
