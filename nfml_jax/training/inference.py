"""Evaluation of a pure function on many rows, in batches of one shape."""

from collections.abc import Callable
from typing import Any

import jax
from jax.sharding import Mesh

from nfml_jax.ops.batches import in_batches
from nfml_jax.training.sharding import AXIS, split

PyTree = Any


class BatchedApply:
    """The call `apply(fn, variables, *rows)` with `rows [N, ...]`; returns numpy rows.

    `fn(variables, *rows)` is compiled once for one batch shape (the last batch is
    padded) and must treat rows independently. Memory grows with the result only.
    `interrupted`, if given, is called before every batch and may raise; `compiled`
    compiles each new `fn`.
    """

    def __init__(
        self,
        mesh: Mesh,
        batch_size: int = 256,
        interrupted: Callable[[], None] = lambda: None,
        compiled: Callable[[Callable], Callable] = jax.jit,
    ):
        self._mesh = mesh
        self._batch_size = batch_size
        self.interrupted = interrupted
        self._compile = compiled
        self._compiled: dict[Callable, Callable] = {}

    def __call__(self, fn: Callable, variables: PyTree, *rows) -> Any:
        if fn not in self._compiled:
            self._compiled[fn] = self._compile(fn)
        compiled = self._compiled[fn]

        def on_all_devices(*batch):
            self.interrupted()
            return compiled(variables, *split(batch, self._mesh))

        return in_batches(
            on_all_devices, self._batch_size, *rows, multiple=self._mesh.shape[AXIS]
        )
