"""Groups of runs that differ only in the seed or the fold, and their differences."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nfml_jax.errors import UserError
from nfml_jax.ops.names import flatten
from nfml_jax.runs.migrations import up_to_date
from nfml_jax.runs.records import quantity

CONFIDENCE = 0.95
REPEATED = "seed", "data.fold"
"""Fields that only say which of several runs of the same thing one is."""


@dataclass(frozen=True)
class Group:
    """Records of one name, data set and config, except for `REPEATED`.

    `fields` are the config fields in which groups of that name and data set differ.
    """

    name: str
    data: str
    fields: Mapping[str, Any]
    records: Sequence[Mapping]

    @property
    def label(self) -> str:
        return ", ".join([self.name, *(f"{f} {v}" for f, v in self.fields.items())])

    @property
    def seeds(self) -> int:
        return len({record["seed"] for record in self.records})

    @property
    def folds(self) -> int:
        """The number of folds of a cross-validation; 1 without one."""
        return len({_fold(record) for record in self.records})

    def numbers(self, metric: str) -> list[float]:
        """Return the metric of the finished runs that have it.

        In a cross-validation each fold gives one number, the mean over its seeds: seeds
        of one fold aren't independent.
        """
        by_fold: dict[int | None, list[float]] = {}
        for record in self.records:
            value = quantity(record, metric) if record["status"] == "done" else None
            if value is not None:
                by_fold.setdefault(_fold(record), []).append(value)
        if len(by_fold) > 1:
            return [float(np.mean(values)) for values in by_fold.values()]
        return [value for values in by_fold.values() for value in values]

    def lost(self) -> dict[str, int]:
        """The counts of the runs that are not done, by status."""
        statuses = [r["status"] for r in self.records if r["status"] != "done"]
        return {status: statuses.count(status) for status in statuses}


def group(records: Sequence[Mapping]) -> list[Group]:
    """Return the records in groups, in the order of their first members."""
    alike: dict[tuple[str, str], dict[str, list[Mapping]]] = {}
    for record in records:
        key = record["name"], record["data"]["name"]
        text = json.dumps(_fields(record), sort_keys=True)
        alike.setdefault(key, {}).setdefault(text, []).append(record)
    groups = []
    for (name, data), variants in alike.items():
        configs = [_fields(variant[0]) for variant in variants.values()]
        differing = sorted(
            field
            for field in set().union(*configs)
            if len({json.dumps(c.get(field)) for c in configs}) > 1
        )
        for config, members in zip(configs, variants.values(), strict=True):
            fields = {f: config[f] for f in differing if f in config}
            groups.append(Group(name, data, fields, members))
    return groups


def _fields(record):
    """Return a run's config without `REPEATED` and without empty fields.

    A field that was added, removed or renamed must not separate a run from an older
    one.
    """
    fields = flatten(up_to_date(record.get("config", {})))
    return {
        n: v for n, v in fields.items() if n not in REPEATED and v not in ("", None)
    }


def _fold(record) -> int | None:
    return record.get("config", {}).get("data", {}).get("fold")


def half_width(values: Sequence[float], kind: str = "ci") -> float | None:
    """Return half the width of the mean's interval; None for fewer than two values.

    "ci" is the 95 % confidence interval by Student's t, "se" the standard error.
    """
    if kind not in SPREADS:
        raise UserError(f"spread = {kind!r} is not known; choose {', '.join(SPREADS)}.")
    n = len(values)
    if n < 2:
        return None
    return float(SPREADS[kind](n) * np.std(values, ddof=1) / n**0.5)


def _student(n: int) -> float:
    from scipy import stats  # takes a second, which a run need not wait for

    return float(stats.t.ppf((1 + CONFIDENCE) / 2, n - 1))


# The factor of the standard error for n values.
SPREADS = {"ci": _student, "se": lambda n: 1.0}
