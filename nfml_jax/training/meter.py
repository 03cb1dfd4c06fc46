"""Means of logged metrics over a stretch of steps, and the watch for divergence."""

import numpy as np


class Diverged(Exception):
    """A metric stopped being finite: at which step, which ones, and their values."""

    def __init__(self, step: int, values: dict[str, float]):
        self.step, self.values = step, values
        super().__init__(", ".join(f"{k} is {v}" for k, v in values.items()))


class Meter:
    """Sums of metrics since the last line of the log.

    `pending()` is what a checkpoint keeps, so that a resumed run's next line covers the
    same steps as the uninterrupted run's.
    """

    def __init__(self, pending: dict | None = None):
        pending = pending or {"count": 0, "sums": {}}
        self._count: int = pending["count"]
        self._sums: dict[str, float] = dict(pending["sums"])
        self._latest: dict[str, float] = {}

    def add(self, first_step: int, metrics: dict[str, np.ndarray]) -> None:
        """Take metrics `[steps]` of consecutive steps; raises Diverged.

        The step named is the first at which anything isn't finite, and the values are
        those that aren't, causes before consequences: the model's own, loss, gradients.
        """
        finite = {k: np.isfinite(v) for k, v in metrics.items()}
        good = np.logical_and.reduce(list(finite.values()))
        if not good.all():
            bad = int(np.argmin(good))
            names = sorted(metrics, key=lambda k: (k.startswith("grad"), k == "loss"))
            raise Diverged(
                first_step + bad,
                {k: float(metrics[k][bad]) for k in names if not finite[k][bad]},
            )
        for name, values in metrics.items():
            total = self._sums.get(name, 0.0)
            self._sums[name] = total + float(values.sum(dtype=np.float64))
        self._count += len(good)
        self._latest = {k: float(v.mean()) for k, v in metrics.items()}

    def latest(self) -> dict[str, float]:
        """Means over the metrics added last."""
        return self._latest

    def means(self) -> dict[str, float]:
        """Means since the last call; starts anew."""
        means = {name: total / self._count for name, total in self._sums.items()}
        self._count, self._sums = 0, {}
        return means

    def pending(self) -> dict:
        """The sums as a JSON-able value."""
        return {"count": self._count, "sums": dict(self._sums)}
