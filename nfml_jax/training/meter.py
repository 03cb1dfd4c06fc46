"""Means of logged metrics over an interval of steps, and the test for divergence."""

from typing import Any

import jax
import numpy as np

from nfml_jax.training.sharding import is_inexact

SHOWN = 4  # number of non-finite values that a message shows


class Diverged(Exception):
    """A value stopped being finite: the step, the names and the values."""

    def __init__(self, step: int, values: dict[str, float]):
        self.step, self.values = step, values
        words = [f"{name} is {value}" for name, value in values.items()]
        more = [f"{len(words) - SHOWN} more"] if len(words) > SHOWN else []
        super().__init__(", ".join(words[:SHOWN] + more))


def check_finite(step: int, params: Any) -> None:
    """Raise Diverged with the paths of the leaves that step `step` made non-finite.

    The metrics of a step describe the parameters before it, so its update may still
    fail.
    """
    bad = {}
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        values = np.asarray(leaf) if is_inexact(leaf) else np.zeros(0)
        values = values[~np.isfinite(values)]
        if values.size:
            name = jax.tree_util.keystr(path, simple=True, separator="/")
            bad[name] = values[0].item()
    if bad:
        raise Diverged(step, bad)


class Meter:
    """Sums of metrics since the last line of the log.

    A checkpoint stores `pending()`, so that a resumed run's next line covers the same
    steps as the uninterrupted run's.
    """

    def __init__(self, pending: dict | None = None):
        pending = pending or {"count": 0, "sums": {}}
        self._count: int = pending["count"]
        self._sums: dict[str, float] = dict(pending["sums"])
        self._latest: dict[str, float] = {}

    def add(self, first_step: int, metrics: dict[str, np.ndarray]) -> None:
        """Add metrics `[steps]` of consecutive steps; raises Diverged.

        The exception names the first step with a non-finite value, and the names of
        such values, causes before consequences: the model's own, loss, gradients.
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
            # They are added one by one, so that the sum doesn't depend on the
            # dispatches.
            total = self._sums.get(name, 0.0)
            for value in values.tolist():
                total += value
            self._sums[name] = total
        self._count += len(good)
        self._latest = {k: float(v.mean()) for k, v in metrics.items()}

    def latest(self) -> dict[str, float]:
        """Return the means over the metrics added last."""
        return self._latest

    def means(self) -> dict[str, float]:
        """Return the means since the last call, and reset the sums."""
        means = {name: total / self._count for name, total in self._sums.items()}
        self._count, self._sums = 0, {}
        return means

    def pending(self) -> dict:
        """Return the sums as a JSON-able value."""
        return {"count": self._count, "sums": dict(self._sums)}
