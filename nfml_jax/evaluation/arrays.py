"""What all measures share: checked input, one normalisation, and fixed-size blocks."""

import warnings
from collections.abc import Iterator

import jax.numpy as jnp
import numpy as np

from nfml_jax.errors import UserError
from nfml_jax.ops.distances import unit as unit
from nfml_jax.ops.labels import check_labels as check_labels

TILE = 1024
"""Rows and columns of the score tiles that measures hold at a time (4 MiB each)."""


def blocks(x: np.ndarray, size: int) -> Iterator[np.ndarray]:
    """`x` [N, ...] in consecutive blocks [size, ...], the last padded with zeros.

    One shape for all blocks means one compilation.
    """
    for start in range(0, len(x), size):
        block = x[start : start + size]
        padding = [(0, size - len(block))] + [(0, 0)] * (x.ndim - 1)
        yield np.pad(block, padding)


def pair_tiles(*columns: np.ndarray, size: int) -> Iterator[tuple[tuple, tuple]]:
    """Two blocks of rows at a time, so that every pair of rows is met.

    `columns` [N, ...] hold what is known of each row. A block is these for `size` rows
    and then their indices [size], -1 for padding: the pairs to count are those whose
    first index is not negative and lower than the second.
    """
    size = min(size, len(columns[0]))
    columns = (*columns, np.arange(1, len(columns[0]) + 1, dtype=np.int32))
    tiles = [
        (*map(jnp.asarray, values), jnp.asarray(index - 1))
        for *values, index in zip(*(blocks(c, size) for c in columns), strict=True)
    ]
    for number, rows in enumerate(tiles):
        for later in tiles[number:]:
            yield rows, later


def check_vectors(x, name: str = "embeddings") -> np.ndarray:
    """`x` as float32 [N, D]; UserError when it is empty or not finite."""
    x = np.asarray(x, np.float32)
    if x.ndim != 2:
        raise UserError(
            f"{name} have shape {x.shape}; expected [examples, dimensions]."
        )
    if x.size == 0:
        raise UserError(
            f"{name} are empty (shape {x.shape}); evaluate on at least one example."
        )
    bad = np.count_nonzero(~np.isfinite(x).all(axis=1))
    if bad:
        raise UserError(
            f"{bad} of {len(x)} {name} are not finite; the training has probably "
            "diverged, so evaluate an earlier checkpoint or lower the learning rate."
        )
    return x


def check_same_dimensions(a: np.ndarray, b: np.ndarray, names: str) -> None:
    """UserError when vectors `a` [N, D] and `b` [M, D] differ in D."""
    if a.shape[1] != b.shape[1]:
        raise UserError(
            f"{names} have {a.shape[1]} and {b.shape[1]} dimensions; expected the same "
            "number, so take both from one model, as [examples or classes, dimensions]."
        )


def check_rate(rate: float, count: int, what: str, those: str) -> None:
    """UserError for a `rate` outside (0, 1]; a warning where `count` can't measure it.

    A rate below one of `count` ("impostor pairs") is only ever seen as 0.
    """
    if not 0 < rate <= 1:
        raise UserError(f"{what} {rate}: expected a rate above 0 and at most 1.")
    if rate < 1 / count:
        warnings.warn(
            f"{what} {rate:g} is not measurable with {count} {those}; it needs at "
            f"least {np.ceil(1 / rate):.0f}.",
            stacklevel=4,
        )
