"""Blocks and tiles of rows in fixed sizes, for pairs too many to hold at once."""

from collections.abc import Iterator

import jax.numpy as jnp
import numpy as np

TILE = 1024
"""The number of rows and columns of a tile of scores (4 MiB)."""


def blocks(x: np.ndarray, size: int) -> Iterator[np.ndarray]:
    """Yield the rows of `x` `[N, ...]` in consecutive blocks `[size, ...]`.

    The last block is padded with zeros. One shape for all blocks means one compilation.

    >>> [block.tolist() for block in blocks(np.arange(3), 2)]
    [[0, 1], [2, 0]]
    """
    for start in range(0, len(x), size):
        block = x[start : start + size]
        padding = [(0, size - len(block))] + [(0, 0)] * (x.ndim - 1)
        yield np.pad(block, padding)


def pair_tiles(*columns: np.ndarray, size: int) -> Iterator[tuple[tuple, tuple]]:
    """Yield two blocks of rows at a time, so that every pair of rows is met once.

    Args:
      columns: arrays `[N, ...]`, each with one entry for each row.
      size: the number of rows in a block.

    Yields:
      Two blocks. Each is a tuple of the columns of `size` rows, followed by the indices
      `[size]` of these rows, which are -1 for padding. The pairs to count are those
      whose first index is not negative and lower than the second.
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


def first_of_equal(rows: np.ndarray) -> np.ndarray | None:
    """Return the index `[N]` of the first row that equals each row of `rows` `[N, D]`.

    The rows are float32. None is returned if all rows differ.

    >>> first_of_equal(np.float32([[1, 2], [3, 4], [1, 2]]))
    array([0, 1, 0])
    """
    bits = np.ascontiguousarray(rows + np.float32(0)).view(np.uint32)  # -0 becomes 0
    odd = np.random.default_rng(0).integers(2**63, size=bits.shape[1], dtype=np.uint64)
    hashes = np.concatenate(
        [(part * (2 * odd + 1)).sum(axis=1) for part in _parts(bits)]
    )
    _, first, place = np.unique(hashes, return_index=True, return_inverse=True)
    if len(first) == len(rows):
        return None
    first = first[place]
    itself = np.arange(len(rows))
    some = np.flatnonzero(first != itself)
    some = some[(bits[some] == bits[first[some]]).all(axis=1)]
    found = itself.copy()
    found[some] = first[some]
    return found if len(some) else None


def _parts(x):
    """Yield consecutive parts of at most `TILE` rows."""
    return (x[start : start + TILE] for start in range(0, len(x), TILE))
