"""Where a step's batch comes from.

A feed gives the host side of a dispatch (`resident` and `chunk`, placed on the devices)
and the device side (`take`, called inside the compiled step). Data that fits in memory
stays on the devices, and a batch is a gather: nothing is sent per step.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from nfml_jax.errors import UserError
from nfml_jax.training.sharding import AXIS, replicate

PyTree = Any


class ResidentFeed:
    """Batches of arrays kept whole on every device, in a new random order each epoch.

    `arrays` is a pytree with leading axis `[examples, ...]`. An epoch visits every
    example once but for the last incomplete batch; its order is a permutation keyed by
    `fold_in(key, epoch)`, so the batch of a step depends on nothing but the step.
    """

    def __init__(self, arrays: PyTree, batch_size: int, key: jax.Array, mesh: Mesh):
        self.examples = len(jax.tree.leaves(arrays)[0])
        if not 1 <= batch_size <= self.examples:
            raise UserError(
                f"train.batch_size = {batch_size} must lie between 1 and the "
                f"{self.examples} training examples."
            )
        self.batch_size = batch_size
        self.steps_per_epoch = self.examples // batch_size
        self.resident = replicate(jax.tree.map(np.asarray, arrays), mesh)
        self._key = key
        self._epoch = None, None
        self._permute = jax.jit(
            partial(_epoch_order, examples=self.examples),
            out_shardings=NamedSharding(mesh, P()),
        )

    def chunk(self, step: int) -> tuple[jax.Array, int]:
        """What the dispatch starting at `step` needs, and how many steps it serves."""
        epoch, done = divmod(step, self.steps_per_epoch)
        if self._epoch[0] != epoch:
            self._epoch = epoch, self._permute(self._key, epoch)
        return self._epoch[1], self.steps_per_epoch - done

    def take(self, resident, order, step) -> tuple[PyTree, jax.Array]:
        """This device's share of the batch, and its rows' places in the global batch.

        Called per device, inside the step. Each array `[examples, ...]` gives
        `[batch_size / devices, ...]`.
        """
        local = self.batch_size // lax.axis_size(AXIS)
        rows = lax.axis_index(AXIS) * local + jnp.arange(local)
        start = (step % self.steps_per_epoch) * self.batch_size
        examples = order[start + rows]
        return jax.tree.map(lambda a: a[examples], resident), rows


def _epoch_order(key, epoch, *, examples):
    return jax.random.permutation(jax.random.fold_in(key, epoch), examples)
