"""Throughput and cost of a run."""

import time


class Clock:
    """A clock of wall and CPU seconds that are shared equally by its runs."""

    def __init__(self, began: tuple[float, float]):
        self._last = began

    def account(self, *runs) -> None:
        """Return the run's share of the time since the last call."""
        now = time.time(), time.process_time()
        for run in runs:
            passed = zip(run.spent, now, self._last, strict=True)
            run.spent = tuple(s + (n - last) / len(runs) for s, n, last in passed)
        self._last = now


class Rates:
    """Examples and operations a second, and the fraction of time lost to waiting.

    Only waiting for data counts as lost; pauses to validate and to save don't count at
    all. `flops` are those of a step, 0 if they are unknown.
    """

    def __init__(self, batch_size: int, flops: float = 0.0):
        self._batch_size, self.flops = batch_size, flops
        self._steps, self._seconds, self._waited = 0, 0.0, 0.0
        self._before = 0.0, 0.0

    @property
    def input_wait(self) -> float:
        """The fraction of the time of all steps so far that went into awaiting data."""
        seconds, waited = self._before
        return _share(waited + self._waited, seconds + self._seconds)

    def add(self, steps: int, seconds: float, waited: float = 0.0) -> None:
        """Add `steps` that took `seconds`, with `waited` seconds of awaiting data."""
        self._steps += steps
        self._seconds += seconds
        self._waited += waited

    def since(self) -> dict[str, float]:
        """Return the rates by name since the last call, and reset them."""
        seconds = max(self._seconds, 1e-9)
        rates = {
            "pace/examples_per_second": self._steps * self._batch_size / seconds,
            "pace/input_wait": _share(self._waited, self._seconds),
        }
        if self.flops:
            rates["pace/flops_per_second"] = self._steps * self.flops / seconds
        before, waited = self._before
        self._before = before + self._seconds, waited + self._waited
        self._steps, self._seconds, self._waited = 0, 0.0, 0.0
        return rates


def _share(waited: float, seconds: float) -> float:
    return min(waited / seconds, 1.0) if seconds else 0.0
