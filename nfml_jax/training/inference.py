"""Running a pure function over many rows, in batches of one shape, on all devices."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from nfml_jax.training.sharding import AXIS, split

PyTree = Any


class BatchedApply:
    """`apply(fn, variables, *rows)` with `rows [N, ...]`; gives `fn`'s rows as numpy.

    `fn(variables, *rows)` is compiled once for one batch shape (the last batch is
    padded) and must treat rows independently. `interrupted`, if given, is called before
    every batch and may raise.
    """

    def __init__(
        self,
        mesh: Mesh,
        batch_size: int = 256,
        interrupted: Callable[[], None] = lambda: None,
    ):
        self._mesh = mesh
        self._batch_size = batch_size
        self.interrupted = interrupted
        self._compiled: dict[Callable, Callable] = {}

    def __call__(self, fn: Callable, variables: PyTree, *rows) -> Any:
        compiled = self._compiled.setdefault(fn, jax.jit(fn))
        count = len(rows[0])
        # Few rows make a smaller batch, of a power of two: few shapes to compile.
        size = min(self._batch_size, 2 ** (count - 1).bit_length())
        devices = self._mesh.shape[AXIS]
        size = -(-size // devices) * devices
        parts = []
        for start in range(0, count, size):
            self.interrupted()
            batch = [_padded(r[start : start + size], size) for r in rows]
            out = compiled(variables, *split(batch, self._mesh))
            real = min(size, count - start)
            parts.append(jax.tree.map(lambda x, real=real: np.asarray(x)[:real], out))
        return jax.tree.map(lambda *xs: np.concatenate(xs), *parts)


def _padded(rows, length):
    short = length - len(rows)
    return np.pad(rows, [(0, short)] + [(0, 0)] * (rows.ndim - 1)) if short else rows
