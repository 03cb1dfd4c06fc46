"""Evaluation of a pure function on many rows, in batches of one shape."""

from collections.abc import Callable
from typing import Any

import jax
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P

from nfml_jax.ops.batches import in_batches
from nfml_jax.training.sharding import AXIS, is_replicated, split

PyTree = Any


class BatchedApply:
    """The call `apply(fn, variables, *rows)` with `rows [N, ...]`; returns numpy rows.

    `fn(variables, *rows)` is compiled once for one batch shape (the last batch is
    padded) and must treat rows independently. Memory grows with the result only.
    Several devices each call it on their share of a batch.
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
            self._compiled[fn] = self._on_devices(fn, variables, len(rows))
        compiled = self._compiled[fn]

        def on_all_devices(*batch):
            self.interrupted()
            return compiled(variables, *split(batch, self._mesh))

        return in_batches(
            on_all_devices, self._batch_size, *rows, multiple=self._mesh.shape[AXIS]
        )

    def _on_devices(self, fn, variables, count):
        """Return `fn` compiled for batches of `count` arrays that are split by rows.

        What is compiled for one device's share needs no communication. XLA's own
        division of a program for the whole batch takes twice the time where the program
        goes through the batch in pieces, as large convolutions on a CPU do. It remains
        for parameters that are split over the devices, and for the compilers of sweeps.
        """
        shared = self._mesh.size > 1 and self._compile is jax.jit
        if not shared or not is_replicated(variables):
            return self._compile(fn)
        split = (P(AXIS),) * count
        # Library loops in `fn` need not satisfy the rules of a checked map.
        own = jax.shard_map(
            fn,
            mesh=self._mesh,
            in_specs=(P(), *split),
            out_specs=P(AXIS),
            check_vma=False,
        )
        return self._compile(own)
