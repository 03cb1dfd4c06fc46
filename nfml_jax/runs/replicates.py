"""Runs that differ in the seed or the fold alone, and what tells them from others."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nfml_jax.errors import UserError
from nfml_jax.ops.names import flatten
from nfml_jax.runs.records import quantity

CONFIDENCE = 0.95
REPEATED = "seed", "data.fold"
"""Fields that only say which of several runs of the same thing one is."""


@dataclass(frozen=True)
class Group:
    """Records of one name, data set and config, but for `REPEATED`.

    `fields` are those of the config in which groups of that name and data differ.
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
        """Of a cross-validation; 1 without one."""
        return len({_fold(record) for record in self.records})

    def numbers(self, metric: str) -> list[float]:
        """The metric of those runs that are done and have it.

        Of several folds one number each, the mean over its seeds: those aren't
        independent.
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
        """How many runs are not done, by how they stand."""
        statuses = [r["status"] for r in self.records if r["status"] != "done"]
        return {status: statuses.count(status) for status in statuses}


def group(records: Sequence[Mapping]) -> list[Group]:
    """The records in groups, in the order of their first ones."""
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
    """A run's config without `REPEATED`, and without what is empty.

    A field that came to be later, and is empty, tells no run from an older one.
    """
    fields = flatten(record.get("config", {}))
    return {
        n: v for n, v in fields.items() if n not in REPEATED and v not in ("", None)
    }


def _fold(record) -> int | None:
    return record.get("config", {}).get("data", {}).get("fold")


def half_width(values: Sequence[float], kind: str = "ci") -> float | None:
    """Half the width of what the mean is within; None of fewer than two values.

    "ci" is the 95 % confidence interval by Student's t, "se" the standard error.
    """
    if kind not in SPREADS:
        raise UserError(f"spread = {kind!r} is not known; choose {', '.join(SPREADS)}.")
    n = len(values)
    if n < 2:
        return None
    return float(SPREADS[kind](n) * np.std(values, ddof=1) / n**0.5)


def _student(n: int) -> float:
    from scipy import stats  # takes a second, which a run needn't wait for

    return stats.t.ppf((1 + CONFIDENCE) / 2, n - 1)


# What the standard error is multiplied by, for n values.
SPREADS = {"ci": _student, "se": lambda n: 1.0}
