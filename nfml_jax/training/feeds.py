"""Where a step's batch comes from.

A feed gives the host side of a dispatch (`resident` and `chunk`, placed on the devices)
and the device side (`take`, called inside the compiled step). Data that fits in memory
stays on the devices, and a batch is a gather: nothing is sent per step. What draws for
itself what it trains on needs no more than its rows' places.
"""

import copy
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from nfml_jax.data.samplers import Sampler, Shuffled
from nfml_jax.errors import UserError
from nfml_jax.training.sharding import AXIS, replicate

PyTree = Any


class ResidentFeed:
    """Batches of arrays kept whole on every device, in an order of each epoch's own.

    `arrays` is a pytree with leading axis `[examples, ...]`. The order is that of
    `sampler`, a function of the batch size giving one of `nfml_jax.data.samplers`, with
    the key `fold_in(key, epoch)`, so the batch of a step depends on nothing but the
    step. Without one, an epoch visits every example once but for the last incomplete
    batch. One dispatch may take up to `ahead` steps, across the ends of epochs.
    """

    # Every chunk serves as far as a dispatch goes, and all devices have it whole.
    window = 0
    spec = P()

    def __init__(
        self,
        arrays: PyTree,
        batch_size: int,
        key: jax.Array,
        mesh: Mesh,
        *,
        ahead: int = 1,
        sampler: Callable[[int], Sampler] | None = None,
    ):
        drawn = sampler_of(arrays, batch_size, sampler)
        self.batch_size, self.steps_per_epoch = batch_size, drawn.steps
        examples = len(jax.tree.leaves(arrays)[0])
        # Of an epoch; one that is filled up has more than there are.
        self.examples = max(examples, drawn.steps * batch_size)
        self.resident = replicate(jax.tree.map(np.asarray, arrays), mesh)
        self._key = key
        self._chunk = None, None
        # From any step of its first epoch, a chunk serves `ahead` steps.
        epochs = 1 + -(-ahead // self.steps_per_epoch)

        def orders(key, first):
            def order(epoch):
                return drawn.order(jax.random.fold_in(key, epoch))

            return first, lax.map(order, first + jnp.arange(epochs))

        self._order = orders
        self._placed = NamedSharding(mesh, P())
        self._orders = jax.jit(orders, out_shardings=self._placed)

    def together(self, keys: jax.Array) -> "ResidentFeed":
        """The same examples in several orders, of `keys [M]`; chunks are `[M, ...]`."""
        several = copy.copy(self)
        several._key, several._chunk = keys, (None, None)
        orders = jax.vmap(self._order, (0, None))
        several._orders = jax.jit(orders, out_shardings=self._placed)
        return several

    def chunk(self, step: int) -> PyTree:
        """What a dispatch of up to `ahead` steps that starts at `step` needs."""
        epoch = step // self.steps_per_epoch
        if self._chunk[0] != epoch:
            self._chunk = epoch, self._orders(self._key, epoch)
        return self._chunk[1]

    def take(self, resident, chunk, step) -> tuple[PyTree, jax.Array]:
        """This device's share of the batch, and its rows' places in the global batch.

        Called per device, inside the step. Each array `[examples, ...]` gives
        `[batch_size / devices, ...]`.
        """
        first, orders = chunk
        rows = rows_of(self.batch_size)
        start = (step % self.steps_per_epoch) * self.batch_size
        examples = orders[step // self.steps_per_epoch - first, start + rows]
        return jax.tree.map(lambda a: a[examples], resident), rows


class EmptyFeed:
    """Batches without data: a row is its place, from which its random key is made."""

    examples = window = 0
    resident = None
    spec = P()

    def __init__(self, batch_size: int):
        self.batch_size = batch_size

    def together(self, keys: jax.Array) -> "EmptyFeed":
        """Rows are alike for all."""
        return self

    def chunk(self, step: int) -> None:
        """Nothing is needed."""

    def take(self, resident, chunk, step) -> tuple[None, jax.Array]:
        """No batch, and the places of this device's rows in the global batch."""
        return None, rows_of(self.batch_size)


def sampler_of(
    arrays: PyTree, batch_size: int, sampler: Callable[[int], Sampler] | None
) -> Sampler:
    """What orders the rows of `arrays`: each once, if nothing else is asked for."""
    examples = len(jax.tree.leaves(arrays)[0])
    if not 1 <= batch_size <= examples:
        raise UserError(
            f"train.batch_size = {batch_size} must lie between 1 and the {examples} "
            "training examples."
        )
    return Shuffled(examples, batch_size) if sampler is None else sampler(batch_size)


def rows_of(batch_size):
    """The places of this device's rows in a global batch; called inside the step."""
    local = batch_size // lax.axis_size(AXIS)
    return lax.axis_index(AXIS) * local + jnp.arange(local)
