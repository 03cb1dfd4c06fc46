"""How many steps go into one dispatch, and how many dispatches are under way."""

import math
import time
from collections import deque
from collections.abc import Callable

import jax
import numpy as np

# Dispatches that may wait behind the one that runs: enough to keep a device busy, few
# enough that neither memory nor the CPU's collectives run away (awaiting is what keeps
# several devices on few cores from dead-locking).
WAITING = 1

# What one dispatch may take; a wish to stop waits for those under way.
SECONDS = 4.0


class Dispatches:
    """Runs `dispatch` (see `make_dispatch`) and hands on its metrics, in order.

    `harvest(first_step, metrics)` gets metrics `[..., steps]` once they are computed.
    Few steps a dispatch waste time, on a CPU up to half of it (benchmarks/README.md);
    many slow ones leave the person without progress and Ctrl-C without an answer. So
    the first is one step, and their number doubles, up to `most`, while that is
    foreseen to stay below `SECONDS`: MNIST's 32 steps of 60 to 120 ms on a CPU do, a
    step of seconds stays alone. What is computed doesn't depend on it.

    Several processes must all dispatch the same. So with `agree`, which gives the
    largest of what they say (`nfml_jax.distributed.processes.largest`), they go by the
    slowest, and `stop` when any of them `wants_to_stop`, all after the same dispatch.

    `seconds` and `waited` are of what is harvested: how long it took, and how long of
    that it awaited its data.
    """

    def __init__(
        self,
        dispatch: Callable,
        most: int,
        harvest: Callable,
        wants_to_stop: Callable[[], bool] = lambda: False,
        agree: Callable[..., list[float]] | None = None,
    ):
        self.steps = 1
        self.seconds = self.waited = 0.0
        self._dispatch, self._most, self._harvest = dispatch, most, harvest
        self._wants_to_stop, self._agree = wants_to_stop, agree
        self._stop = False
        self._under_way = deque()
        self._harvested, self._pace = 0.0, math.inf

    def run(self, state, first: int, steps: int, *data, waited: float = 0.0):
        """Dispatch `steps` steps from `first` on; gives the state that they lead to.

        `data` was awaited for `waited` seconds.
        """
        began = time.monotonic() - waited
        state, metrics = self._dispatch(state, np.int32(steps), *data)
        self._under_way.append((first, steps, metrics, began, waited))
        self.drain(0 if self._agree else WAITING)
        if self._agree:
            stop, slowest = self._agree(self._wants_to_stop(), self._pace)
            self._stop = bool(stop)
            self._grow(slowest)
        return state

    @property
    def stop(self) -> bool:
        return self._stop if self._agree else self._wants_to_stop()

    def drain(self, waiting: int = 0) -> None:
        """Harvest until only `waiting` dispatches are under way."""
        while len(self._under_way) > waiting:
            first, steps, metrics, began, waited = self._under_way.popleft()
            metrics = jax.device_get(metrics)
            now = time.monotonic()
            self.seconds, self.waited = now - max(began, self._harvested), waited
            self._harvested = now
            self._pace = self.seconds / steps
            if not self._agree:
                self._grow(self._pace)
            self._harvest(first, {name: v[..., :steps] for name, v in metrics.items()})

    def _grow(self, pace):
        """More steps a dispatch, if a step takes `pace` seconds."""
        if 2 * self.steps * pace <= SECONDS:
            self.steps = min(2 * self.steps, self._most)
