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
        batch_size: int = 500,
        interrupted: Callable[[], None] = lambda: None,
    ):
        devices = mesh.shape[AXIS]
        self._mesh = mesh
        self._batch = -(-batch_size // devices) * devices
        self._interrupted = interrupted
        self._compiled: dict[Callable, Callable] = {}

    def __call__(self, fn: Callable, variables: PyTree, *rows) -> Any:
        compiled = self._compiled.setdefault(fn, jax.jit(fn))
        count = len(rows[0])
        parts = []
        for start in range(0, count, self._batch):
            self._interrupted()
            batch = [_padded(r[start : start + self._batch], self._batch) for r in rows]
            out = compiled(variables, *split(batch, self._mesh))
            real = min(self._batch, count - start)
            parts.append(jax.tree.map(lambda x, real=real: np.asarray(x)[:real], out))
        return jax.tree.map(lambda *xs: np.concatenate(xs), *parts)


def _padded(rows, length):
    short = length - len(rows)
    return np.pad(rows, [(0, short)] + [(0, 0)] * (rows.ndim - 1)) if short else rows
