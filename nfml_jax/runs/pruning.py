"""Limits that end a run of a search before its last step.

The search writes them into the run directory: for each step of a validation, the value
that the run must have reached by then.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from nfml_jax.runs.file_fields import LIMITS
from nfml_jax.runs.run_directory import replace_json
from nfml_jax.runs.run_files import read_checked

FILE = "pruning.json"


@dataclass(frozen=True)
class Limits:
    """The values of a metric that a run must have reached at steps.

    `steps` and `values` belong together; `maximize` says which direction is better.

    >>> limits = Limits("validation/accuracy", True, (100, 200), (0.5, 0.8))
    >>> limits.missed({100: 0.6}), limits.missed({100: 0.6, 200: 0.7})
    (False, True)
    """

    metric: str
    maximize: bool
    steps: tuple[int, ...]
    values: tuple[float, ...]

    def missed(self, curve: Mapping[int, float]) -> bool:
        """Return whether the best value of a curve misses the limit of its last step.

        Only the steps of the limits are compared; NaN is worse than any number.
        """
        last = max(curve, default=None)
        if last not in self.steps:
            return False
        limit = self.values[self.steps.index(last)]
        values = [value for value in curve.values() if not np.isnan(value)]
        if not values:
            return True
        return max(values) < limit if self.maximize else min(values) > limit

    def write(self, run_dir: Path) -> None:
        """Write the limits into a run directory."""
        replace_json(run_dir / FILE, asdict(self))

    @classmethod
    def read(cls, run_dir: Path) -> "Limits | None":
        """Return the limits in a run directory, or None without any."""
        found = read_checked(run_dir / FILE, LIMITS, "list of the limits of a trial")
        if found is None:
            return None
        steps, values = tuple(found["steps"]), tuple(found["values"])
        return cls(found["metric"], found["maximize"], steps, values)


def median_limits(
    metric: str, maximize: bool, curves: Sequence[Mapping[int, float]], *, least: int
) -> Limits | None:
    """Return the medians of finished runs' curves at every step that they share.

    It is the median rule (Golovin et al. 2017, section 3.2.1, with values in place of
    running averages, as in optuna). None with fewer than `least` curves.
    """
    if len(curves) < least:
        return None
    shared = set(curves[0]).intersection(*curves[1:])
    steps = tuple(sorted(shared))
    values = tuple(float(np.nanmedian([c[step] for c in curves])) for step in steps)
    return Limits(metric, maximize, steps, values)


def curve_of(records: Sequence[Mapping], metric: str) -> dict[int, float]:
    """Return a metric's values by step from the lines of a `metrics.jsonl`."""
    return {int(line["step"]): line[metric] for line in records if metric in line}
