"""Feeds: the sources of the batches of training steps.

A feed gives the host side of a dispatch (`resident` and `chunk`, placed on the devices)
and the device side (`take`, called inside the compiled step). Data that fits in memory
stays on the devices, and a batch is a gather: nothing is sent per step. What draws for
itself what it trains on needs no more than its rows' places.
"""

import copy
import warnings
from abc import ABC, abstractmethod
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


class Feed(ABC):
    """The contract of a source of batches.

    `batch_size` rows make a batch, and `examples` an epoch (0 without data). `resident`
    is data placed on the devices once, and `spec` says how a chunk lies on them.
    """

    batch_size: int
    examples: int = 0
    steps_per_epoch: int = 1
    resident: PyTree = None
    spec: Any = P()

    window: int = 0
    """The steps of a chunk, which no dispatch may cross; 0: every chunk is enough."""

    joins: bool = True
    """True if `together` feeds several runs."""

    @abstractmethod
    def chunk(self, step: int) -> PyTree:
        """Return what a dispatch that starts at `step` needs beside `resident`."""

    @abstractmethod
    def take(self, resident, chunk, step) -> tuple[PyTree, jax.Array]:
        """Return this device's share of the batch, and the indices of its rows.

        Called per device, inside the step. Each array `[examples, ...]` gives
        `[batch_size / devices, ...]`.
        """

    def together(self, keys: jax.Array) -> "Feed":
        """Return a feed of several runs, with orders of `keys [M]`.

        Its chunks are `[M, ...]`. Only a feed that `joins` has it.
        """
        raise TypeError(f"{type(self).__name__} feeds one run")


class ResidentFeed(Feed):
    """Batches of arrays that are stored on every device, in a new order in each epoch.

    `arrays` is a pytree with leading axis `[examples, ...]`. The order is that of
    `sampler`, a function of the batch size giving one of `nfml_jax.data.samplers`, with
    the key `fold_in(key, epoch)`, so the batch of a step depends on nothing but the
    step. Without one, an epoch visits every example once but for the last incomplete
    batch. One dispatch may take up to `ahead` steps, across the ends of epochs.
    """

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
        # The examples of an epoch: more than there are if the sampler repeats some.
        self.examples = max(examples, drawn.steps * batch_size)
        self.resident = replicate(jax.tree.map(np.asarray, arrays), mesh)
        self._key = key
        self._chunk = None, None
        # A chunk holds `ahead` steps from any step of its first epoch on.
        epochs = 1 + -(-ahead // self.steps_per_epoch)

        def orders(key, first):
            def order(epoch):
                return drawn.order(jax.random.fold_in(key, epoch))

            return first, lax.map(order, first + jnp.arange(epochs))

        self._order = orders
        self._placed = NamedSharding(mesh, P())
        self._orders = jax.jit(orders, out_shardings=self._placed)

    def together(self, keys: jax.Array) -> "ResidentFeed":
        """Return a feed of the same examples in several orders; see `Feed`."""
        several = copy.copy(self)
        several._key, several._chunk = keys, (None, None)
        orders = jax.vmap(self._order, (0, None))
        several._orders = jax.jit(orders, out_shardings=self._placed)
        return several

    def chunk(self, step: int) -> PyTree:
        """Return the orders of the epochs that a dispatch from `step` may reach."""
        epoch = step // self.steps_per_epoch
        if self._chunk[0] != epoch:
            self._chunk = epoch, self._orders(self._key, epoch)
        return self._chunk[1]

    def take(self, resident, chunk, step) -> tuple[PyTree, jax.Array]:
        """Return this device's rows of the batch and their indices; see `Feed`."""
        first, orders = chunk
        rows = rows_of(self.batch_size)
        start = (step % self.steps_per_epoch) * self.batch_size
        examples = orders[step // self.steps_per_epoch - first, start + rows]
        return jax.tree.map(lambda a: a[examples], resident), rows


class EmptyFeed(Feed):
    """Batches without data: a row is its index, from which its random key is made."""

    def __init__(self, batch_size: int):
        self.batch_size = batch_size

    def together(self, keys: jax.Array) -> "EmptyFeed":
        """Return this feed: rows without data are the same for every run."""
        return self

    def chunk(self, step: int) -> None:
        """Return None: no data is needed."""

    def take(self, resident, chunk, step) -> tuple[None, jax.Array]:
        """Return no data, and the indices of this device's rows in the batch."""
        return None, rows_of(self.batch_size)


def sampler_of(
    arrays: PyTree, batch_size: int, sampler: Callable[[int], Sampler] | None
) -> Sampler:
    """Return the sampler of the rows of `arrays`, by default each row once an epoch."""
    examples = len(jax.tree.leaves(arrays)[0])
    if not 1 <= batch_size <= examples:
        raise UserError(
            f"train.batch_size = {batch_size} must lie between 1 and the {examples} "
            f"training examples; set it to {_power_of_two(examples)}, say."
        )
    return Shuffled(examples, batch_size) if sampler is None else sampler(batch_size)


def fitted_batch(
    arrays: PyTree,
    sampler: Callable[[int], Sampler] | None,
    *,
    most: int,
    multiple: int,
) -> int:
    """Return `most`, a power of two, or the largest half, quarter, ... that fits.

    A batch fits if the rows of `arrays` fill it and the sampler can make it. It is a
    multiple of `multiple`. Raises the UserError of the largest size if none fits.
    """
    halves = (most >> i for i in range(most.bit_length()))
    problem = None
    for size in [n for n in halves if n % multiple == 0] or [multiple]:
        try:
            with warnings.catch_warnings(action="ignore"):
                sampler_of(arrays, size, sampler)
            return size
        except UserError as refused:
            problem = problem or refused
    assert problem is not None
    raise problem


def _power_of_two(most):
    """Return the largest power of two up to `most`, which devices divide well."""
    return 1 << (max(most, 1).bit_length() - 1)


def rows_of(batch_size):
    """Return the indices of this device's rows in the batch; called inside the step."""
    local = batch_size // lax.axis_size(AXIS)
    return lax.axis_index(AXIS) * local + jnp.arange(local)
