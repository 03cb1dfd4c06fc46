"""Batches of data that stays on disk, read and decoded ahead of the steps by Grain."""

import importlib.util
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np
from absl import flags
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from nfml_jax.data.samplers import Sampler
from nfml_jax.distributed.processes import local_devices
from nfml_jax.errors import UserError
from nfml_jax.training.feeds import Feed, rows_of, sampler_of
from nfml_jax.training.sharding import AXIS

PyTree = Any

# Bytes sent to the devices per transfer; one more transfer is prefetched.
CHUNK_BYTES = 2**27
# Examples that one pipeline reads: many, so that a new one is rarely started.
EXAMPLES = 2**22
THREADS = 16


class StreamedFeed(Feed):
    """The batches of `nfml_jax.training.feeds.ResidentFeed`, read from disk.

    `arrays` is a pytree of objects with rows, such as
    `nfml_jax.data.stored.StoredImages`; the further arguments are those of
    `ResidentFeed`. A step's batch depends only on the step, so reading has no other
    state. Each of several processes reads only its own rows. `workers` is the number of
    subprocesses that read; 0 reads in threads.
    """

    joins = False  # it reads one order of examples
    # The layout of a chunk on the devices: its first step, and batches split by rows.
    spec = (P(), P(None, AXIS))

    def __init__(
        self,
        arrays: PyTree,
        batch_size: int,
        key: jax.Array,
        mesh: Mesh,
        *,
        ahead: int = 1,
        sampler: Callable[[int], Sampler] | None = None,
        workers: int = 0,
    ):
        if importlib.util.find_spec("grain") is None:
            raise UserError(
                "data.stream needs the package grain; run `pip install grain`."
            )
        drawn = sampler_of(arrays, batch_size, sampler)
        self.batch_size, self.steps_per_epoch = batch_size, drawn.steps
        self.examples = drawn.steps * batch_size
        order = jax.jit(lambda epoch: drawn.order(jax.random.fold_in(key, epoch)))
        self._order = lambda epoch: np.asarray(order(epoch))[: self.examples]
        self._arrays, self._workers = arrays, workers
        self._placed = NamedSharding(mesh, self.spec[1])
        devices = list(mesh.devices.flat)
        shares = np.arange(batch_size).reshape(len(devices), -1)
        own = [devices.index(device) for device in local_devices(devices)]
        self._rows = shares[own].ravel()
        rows = (
            np.prod(a.shape[1:]) * a.dtype.itemsize for a in jax.tree.leaves(arrays)
        )
        batch_bytes = int(sum(rows)) * batch_size
        # The number of steps in a chunk: no dispatch may cross from one into another.
        self.window = min(ahead, max(1, CHUNK_BYTES // batch_bytes))
        self._chunk: tuple[int, PyTree] = -1, None
        self._batches, self._next = iter(()), -1

    def chunk(self, step: int) -> tuple[np.int32, PyTree]:
        """Return the data of dispatches within the `window` of `step`; may wait."""
        first = step - step % self.window
        if self._chunk[0] != first:
            batches = [self._batch(i) for i in range(step, first + self.window)]

            def place(*parts):
                chunk = np.zeros((self.window, *parts[0].shape), parts[0].dtype)
                np.stack(parts, out=chunk[step - first :])
                return jax.make_array_from_process_local_data(self._placed, chunk)

            self._chunk = first, jax.tree.map(place, *batches)
        return np.int32(first), self._chunk[1]

    def take(self, resident, chunk, step) -> tuple[PyTree, jax.Array]:
        """Return this device's share of the batch, and the indices of its rows.

        Called per device, inside the step.
        """
        first, batches = chunk
        rows = rows_of(self.batch_size)
        return jax.tree.map(lambda a: a[step - first], batches), rows

    def _batch(self, step: int) -> PyTree:
        """Return this process's rows of a step's batch."""
        batch = next(self._batches, None) if step == self._next else None
        if batch is None:
            self._batches = self._read(step)
            batch = next(self._batches)
        self._next = step + 1
        return batch

    def _read(self, step: int) -> Iterator[PyTree]:
        """Yield this process's rows of the batches from `step` on, for some epochs."""
        import grain

        epoch, within = divmod(step, self.steps_per_epoch)
        epochs = range(epoch, epoch + max(1, EXAMPLES // self.examples))
        order = np.concatenate([self._order(epoch) for epoch in epochs])
        order = order.reshape(-1, self.batch_size)[within:, self._rows]
        rows = grain.MapDataset.source(_Ordered(self._arrays, order.ravel()))
        count = len(self._rows)
        if not self._workers:
            ahead = grain.ReadOptions(THREADS, max(THREADS, self.window * count))
            return iter(rows.to_iter_dataset(ahead).batch(count))
        each = max(1, self.window // self._workers)
        if not flags.FLAGS.is_parsed():
            flags.FLAGS.mark_as_parsed()  # as Grain's processes do
        processes = grain.MultiprocessingOptions(self._workers, each)
        return iter(rows.batch(count).to_iter_dataset().mp_prefetch(processes))


class _Ordered:
    """Rows of arrays in a given order, as a source for Grain."""

    def __init__(self, arrays: PyTree, order: np.ndarray):
        self._arrays, self._order = arrays, order

    def __len__(self) -> int:
        return len(self._order)

    def __getitem__(self, index) -> PyTree:
        row = int(self._order[index])
        return jax.tree.map(lambda a: a[row], self._arrays)
