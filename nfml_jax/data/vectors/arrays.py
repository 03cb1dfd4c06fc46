"""The result of loading any data set of vectors: standardized rows, and the inverse."""

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from nfml_jax.data.data_set import DataSet, digest
from nfml_jax.data.vectors.checks import (
    alike_in_float32,
    check_float32,
    check_rows,
    constant_columns,
    doubts,
)
from nfml_jax.data.vectors.context import Context
from nfml_jax.errors import UserError
from nfml_jax.tables.columns import listed, quoted
from nfml_jax.tables.scales import center_and_scale, standardized


@dataclass(frozen=True)
class LoadedVectors:
    """The result of a loader: rows `[N, columns]` in their original units.

    `validation` may be None. `statistics` names the parts whose mean and standard
    deviation standardize the set; with none it stays unchanged. The last `given`
    columns are those that the density of the others is conditioned on: numbers, or with
    `classes` the number of one of these. `outside` are rows, without the given columns,
    that should be out of distribution. `digest` is that of the source rows if these
    rows were computed from others.

    `levels` has the values of each given column of text, whose rows hold their numbers,
    and () for a column of numbers; it is empty if all are numbers. `numbers` has for
    each part the numbers of its rows in the source, from 0; it may be empty. `drawn` is
    set if the parts were drawn from one table. `jitter` has the widths of the noise
    that was added, by column. `project` maps rows of the columns `original` to these
    columns, if they differ.
    """

    name: str
    source: str
    columns: tuple[str, ...]
    train: np.ndarray
    validation: np.ndarray | None
    test: np.ndarray
    statistics: tuple[str, ...] = ("train",)
    given: int = 0
    classes: tuple[str, ...] = ()
    outside: np.ndarray | None = None
    digest: str = ""
    levels: tuple[tuple[str, ...], ...] = ()
    numbers: dict[str, np.ndarray] = field(default_factory=dict)
    drawn: bool = False
    jitter: Mapping[str, float] = field(default_factory=dict)
    original: tuple[str, ...] = ()
    project: Callable[[np.ndarray], np.ndarray] | None = None

    def take(self, chosen: Mapping[str, np.ndarray]) -> "LoadedVectors":
        """Return the set with some rows of the parts in `chosen`.

        `chosen` maps the name of a part to row numbers or to a mask. Other parts keep
        all rows.
        """
        parts = {part: self.parts[part][rows] for part, rows in chosen.items()}
        numbers = {
            part: x[chosen[part]] if part in chosen else x
            for part, x in self.numbers.items()
        }
        return replace(self, **parts, numbers=numbers)

    @property
    def event_dim(self) -> int:
        return len(self.columns) - self.given

    @property
    def parts(self) -> dict[str, np.ndarray]:
        """Return the parts that exist, by name."""
        names = ("train", "validation", "test")
        parts = {name: getattr(self, name) for name in names}
        return {name: rows for name, rows in parts.items() if rows is not None}


@dataclass(frozen=True)
class VectorData(DataSet):
    """Rows in memory, float32 `[N, event_dim]`.

    A row is (original - `shift`) / `scale`, both float64 `[event_dim]`. `validation`
    and `outside` may be None. With a `context`, `given` has for each part the
    conditions of its rows: numbers float64 `[N, C]` in their original units, or class
    numbers int32 `[N]`.
    """

    columns: tuple[str, ...]
    train: np.ndarray
    validation: np.ndarray | None
    test: np.ndarray
    shift: np.ndarray
    scale: np.ndarray
    context: Context | None
    given: dict[str, np.ndarray]
    outside: np.ndarray | None
    jitter: Mapping[str, float] = field(default_factory=dict)

    @property
    def event_dim(self) -> int:
        return len(self.columns)

    @property
    def names(self) -> tuple[str, ...]:
        given = self.context
        return (*self.columns, *((*given.columns, *given.classes) if given else ()))

    @property
    def more_rows(self) -> tuple[np.ndarray, ...]:
        return () if self.outside is None else (self.outside,)

    @property
    def rows(self) -> str:
        words = f"rows of {self.event_dim} numbers"
        if self.context is None:
            return words
        classes = self.context.classes
        given = (
            f"{len(classes)} classes" if classes else ", ".join(self.context.columns)
        )
        return f"{words} given {given}"

    @property
    def log_det(self) -> float:
        """The log-density of an original row minus that of its row here, in nats."""
        with np.errstate(over="ignore"):
            inverse = 1 / self.scale
        logs = np.where(np.isfinite(inverse), np.log(inverse), -np.log(self.scale))
        return float(logs.sum())

    def to_original(self, rows) -> np.ndarray:
        """Return standardized rows `[N, event_dim]` in original units, float64."""
        return np.asarray(rows, np.float64) * self.scale + self.shift

    def summary(self) -> dict:
        """Return the entry of `result.json`: name, source, digest, counts, log_det."""
        more = {"event_dim": self.event_dim, "log_det": self.log_det}
        if self.outside is not None:
            more["outside"] = len(self.outside)
        if self.jitter:
            more["jitter"] = dict(self.jitter)
        return super().summary() | more


def make_vector_data(loaded: LoadedVectors, standardize: bool = True) -> VectorData:
    """Check, digest (sha256 of the original rows) and standardize a set.

    Warns of columns whose likelihood means little: constant, repeated or discrete.

    Raises:
      UserError: without columns or rows, with rows that are not finite, or with a
        constant column to be standardized.
    """
    check_rows(loaded)
    flat = constant_columns(loaded)
    standardize = standardize and bool(loaded.statistics)
    if flat and standardize:
        raise UserError(
            f"{loaded.name} has constant columns ({listed(flat, 30)}), which have no "
            "density and cannot be standardized; leave them out, with "
            f"data.drop={quoted(flat)}."
        )
    parts = loaded.parts
    shift, scale = np.zeros(len(loaded.columns)), np.ones(len(loaded.columns))
    if standardize:
        rows = np.concatenate([parts[name] for name in loaded.statistics])
        shift, scale = center_and_scale(rows)
    d = loaded.event_dim
    exact = {name: rows[:, :d] for name, rows in parts.items()}
    if loaded.outside is not None:
        exact["outside"] = loaded.outside
    if standardize:
        exact = {
            name: standardized(x, shift[:d], scale[:d]) for name, x in exact.items()
        }
    with np.errstate(over="ignore"):
        events = {name: x.astype(np.float32, copy=False) for name, x in exact.items()}
    check_float32(loaded.name, loaded.columns, events)
    merged = alike_in_float32(loaded.columns[:d], exact["train"], events["train"])
    for sentence in doubts(loaded, flat, merged):
        warnings.warn(sentence, stacklevel=4)
    context, given = None, {}
    if loaded.given:
        given = {name: rows[:, d:] for name, rows in parts.items()}
        if loaded.classes:
            given = {name: x[:, 0].astype(np.int32) for name, x in given.items()}
            context = Context.of_classes(loaded.classes, given["train"])
        else:
            numbers = tuple(shift[d:].tolist()), tuple(scale[d:].tolist())
            context = Context(loaded.columns[d:], *numbers, levels=loaded.levels)
    return VectorData(
        name=loaded.name,
        source=loaded.source,
        digest=loaded.digest or digest(parts.values()),
        columns=loaded.columns[:d],
        train=events["train"],
        validation=events.get("validation"),
        test=events["test"],
        shift=shift[:d],
        scale=scale[:d],
        context=context,
        given=given,
        outside=events.get("outside"),
        jitter=loaded.jitter,
    )
