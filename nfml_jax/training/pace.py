"""The number of steps in one dispatch, and of dispatches in flight."""

import math
import time
from collections import deque
from collections.abc import Callable

import jax
import numpy as np

# Dispatches that may wait behind the running one. More than one keeps a device busy; a
# small limit bounds memory and the CPU's collectives (without waiting, several devices
# on few cores would deadlock).
WAITING = 1

# Maximum duration of a dispatch; a stop request waits for those in flight.
SECONDS = 4.0


class Dispatches:
    """Run `dispatch` (see `make_dispatch`) and hand on its metrics, in order.

    `collect(first_step, metrics)` receives metrics `[..., steps]` once they are
    computed. Few steps in a dispatch waste time, on a CPU up to half of it
    (benchmarks/README.md). Many slow steps leave the user without progress and Ctrl-C
    without an answer. So the first dispatch is one step, and the number doubles, up to
    `most`, while the predicted time stays below `SECONDS`: MNIST's 32 steps of 60 to
    120 ms on a CPU fit; steps of seconds are dispatched singly. The results do not
    depend on it.

    Several processes must all dispatch the same steps. With `agree`, which returns the
    maximum over processes (`nfml_jax.distributed.max_over_processes`), they follow the
    slowest. They `stop` when any of them `wants_to_stop`, all after the same dispatch.

    `seconds` is the duration of the collected dispatches, and `waited` the part of it
    that was spent waiting for data.
    """

    def __init__(
        self,
        dispatch: Callable,
        most: int,
        collect: Callable,
        wants_to_stop: Callable[[], bool] = lambda: False,
        agree: Callable[..., list[float]] | None = None,
    ):
        self.steps = 1
        self.seconds = self.waited = 0.0
        self._dispatch, self._most, self._collect = dispatch, most, collect
        self._wants_to_stop, self._agree = wants_to_stop, agree
        self._stop = False
        self._in_flight = deque()
        self._collected, self._pace = 0.0, math.inf

    def run(self, state, first: int, steps: int, *data, waited: float = 0.0):
        """Dispatch `steps` steps from `first` on; returns the state after them.

        The caller has waited `waited` seconds for `data`.
        """
        began = time.monotonic() - waited
        state, metrics = self._dispatch(state, np.int32(steps), *data)
        self._in_flight.append((first, steps, metrics, began, waited))
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
        """Collect results until only `waiting` dispatches are in flight."""
        while len(self._in_flight) > waiting:
            first, steps, metrics, began, waited = self._in_flight.popleft()
            metrics = jax.device_get(metrics)
            now = time.monotonic()
            self.seconds, self.waited = now - max(began, self._collected), waited
            self._collected = now
            self._pace = self.seconds / steps
            if not self._agree:
                self._grow(self._pace)
            self._collect(first, {name: v[..., :steps] for name, v in metrics.items()})

    def _grow(self, pace):
        """Raise the number of steps in a dispatch if a step takes `pace` seconds."""
        if 2 * self.steps * pace <= SECONDS:
            self.steps = min(2 * self.steps, self._most)
