"""How many steps go into one dispatch, and how many dispatches are under way."""

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
    """

    def __init__(self, dispatch: Callable, most: int, harvest: Callable):
        self.steps = 1
        self._dispatch, self._most, self._harvest = dispatch, most, harvest
        self._under_way = deque()
        self._harvested = 0.0

    def run(self, state, first: int, steps: int, *data):
        """Dispatch `steps` steps from `first` on; gives the state that they lead to."""
        began = time.monotonic()
        state, metrics = self._dispatch(state, np.int32(steps), *data)
        self._under_way.append((first, steps, metrics, began))
        self.drain(WAITING)
        return state

    def drain(self, waiting: int = 0) -> None:
        """Harvest until only `waiting` dispatches are under way."""
        while len(self._under_way) > waiting:
            first, steps, metrics, began = self._under_way.popleft()
            metrics = jax.device_get(metrics)
            now = time.monotonic()
            seconds = (now - max(began, self._harvested)) / steps
            self._harvested = now
            if 2 * self.steps * seconds <= SECONDS:
                self.steps = min(2 * self.steps, self._most)
            self._harvest(first, {name: v[..., :steps] for name, v in metrics.items()})
