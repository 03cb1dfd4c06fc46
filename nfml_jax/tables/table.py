"""Tables of named columns: of arrays, of typed frames, and of text."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

from nfml_jax.errors import UserError
from nfml_jax.tables.cells import Numbers, as_text, to_numbers
from nfml_jax.tables.columns import listed, places_of, quoted
from nfml_jax.tables.text_layout import Layout


@dataclass(frozen=True)
class Table:
    """Rows of named columns, read a column at a time.

    `named` is True if the file names its columns; else their names are their numbers.
    `note` describes what was left out on reading.
    """

    file: str
    columns: tuple[str, ...]
    named: bool
    note: str = field(default="", kw_only=True)

    def __len__(self) -> int:
        raise NotImplementedError

    def places(self, columns) -> list[int]:
        """Return the indices of columns by name, number, range or list of these."""
        return places_of(self.file, self.columns, columns)

    def read_numbers(self, places: Sequence[int]) -> list[Numbers]:
        """Return columns as numbers, with the positions of missing and wrong values."""
        raise NotImplementedError

    def texts(self, place: int) -> list[str | None]:
        """Return the exact text of each row of a column, None where it is missing."""
        raise NotImplementedError

    def row_in_words(self, row: int) -> str:
        """Return the words by which a message names a row, counted from 0."""
        return f"row {row}"

    def numbers(self, places: Sequence[int], *, missing: bool = False) -> np.ndarray:
        """Return columns as float64 `[N, len(places)]`.

        Args:
          places: the indices of the columns, as `places` gives them.
          missing: True if values may be missing; they are NaN then.

        Raises:
          UserError: naming the columns that hold no numbers, or the rows where a
            value is missing.
        """
        read = self.read_numbers(places)
        names = [self.columns[i] for i in places]
        self._check_kinds(dict(zip(names, read, strict=True)))
        if not missing:
            self.check_missing(dict(zip(names, read, strict=True)))
        if not read:
            return np.empty((len(self), 0))
        return np.stack([column.values for column in read], axis=1)

    def _check_kinds(self, read: Mapping[str, Numbers]) -> None:
        wrong = {name: column for name, column in read.items() if len(column.wrong)}
        if not wrong:
            return
        words = [
            f"column {name} holds {column.kind} ({column.wrong_values[0]!r} in "
            f"{self.row_in_words(column.wrong[0])})"
            for name, column in wrong.items()
        ]
        classes = [name for name, column in wrong.items() if column.are_classes]
        dates = [name for name, column in wrong.items() if column.kind == "dates"]
        remedies = [f"leave out what is no number with data.drop={quoted(wrong)}"]
        if dates:
            remedies.append("make numbers of dates, such as days since the first one")
        if classes:
            name = quoted(classes[:1])
            remedies.append(
                f"condition on classes with data.labels={name} or data.context={name}"
            )
        raise UserError(
            f"{self.file} is not a table of numbers: {listed(words)}; "
            f"{', or '.join(remedies)}."
        )

    def check_missing(self, read: Mapping[str, Numbers]) -> None:
        lacking = {name: column for name, column in read.items() if len(column.missing)}
        if not lacking:
            return
        empty = [n for n, column in lacking.items() if len(column.missing) == len(self)]
        words = [
            f"column {name} in {len(column.missing):,} of {len(self):,} rows ("
            + listed([self.row_in_words(row) for row in column.missing], 4)
            + ")"
            for name, column in lacking.items()
        ]
        rows = len(np.unique(np.concatenate([c.missing for c in lacking.values()])))
        remedy = f"leave these columns out with data.drop={quoted(lacking)}"
        if not empty:
            remedy += f", or all {rows:,} such rows with data.missing=drop"
        raise UserError(
            f"{self.file} has missing values: {listed(words)}; fill them in, {remedy}."
        )


@dataclass(frozen=True)
class ArrayTable(Table):
    """Numbers `[N, D]` of any type."""

    array: np.ndarray

    def __len__(self) -> int:
        return len(self.array)

    def read_numbers(self, places):
        values = self.array[:, list(places)].astype(np.float64)
        return [
            Numbers(x, np.flatnonzero(np.isnan(x)), np.array([], int)) for x in values.T
        ]

    def numbers(self, places, *, missing=False):
        # Values that aren't finite are reported when the rows' parts are known.
        return self.array[:, list(places)].astype(np.float64)

    def texts(self, place):
        column = self.array[:, place]
        if column.dtype.kind == "f":
            return [
                None if np.isnan(x) else str(int(x)) if x.is_integer() else repr(x)
                for x in column.astype(float).tolist()
            ]
        return [str(x) for x in column.tolist()]


@dataclass(frozen=True)
class FrameTable(Table):
    """A table of typed columns, such as a Parquet file's."""

    frame: pl.DataFrame

    def __len__(self) -> int:
        return self.frame.height

    def read_numbers(self, places):
        return [to_numbers(self.frame.to_series(i)) for i in places]

    def texts(self, place):
        column = self.frame.to_series(place)
        if column.dtype.is_float():
            return ArrayTable(self.file, (), False, column.to_numpy()[:, None]).texts(0)
        return as_text(column).to_list()


@dataclass(frozen=True)
class TextTable(Table):
    """A table of text: `body` is parsed when columns are asked for."""

    layout: Layout
    count: int
    text: bytes  # the original text, in which the line of a row is found
    shift: int  # fields before the first column

    def __len__(self) -> int:
        return self.count

    def read_numbers(self, places):
        try:
            columns = self._read(places, pl.Float64)
        except pl.exceptions.ComputeError:
            columns = self._read(places, pl.String)
        return [to_numbers(column, self.layout.delimiter) for column in columns]

    def texts(self, place):
        (column,) = self._read([place], pl.String)
        return column.str.strip_chars().to_list()

    def row_in_words(self, row):
        """Return the row's line in the file, counted from 1."""
        rows = -self.layout.header_lines
        for number, line in enumerate(self.text.split(b"\n"), 1):
            words = line.strip()
            if words and not words.startswith((b"#", b"%", b"sep=", b'"sep=')):
                if rows == row:
                    return f"line {number}"
                rows += 1
        return f"row {row}"

    def _read(self, places, dtype) -> list[pl.Series]:
        places = [place + self.shift for place in places]
        frame = parse_text(self.layout, sorted(set(places)), dtype)
        return [frame[str(place)] for place in places]


def parse_text(layout: Layout, places: Sequence[int], dtype) -> pl.DataFrame:
    """Return fields of a table, as columns named by their places."""
    if not places:
        return pl.DataFrame()
    names = [str(i) for i in range(len(layout.columns))]
    schema: dict[str, Any] = dict.fromkeys(names, pl.String)
    schema |= dict.fromkeys((str(place) for place in places), dtype)
    return pl.read_csv(
        io.BytesIO(layout.body),
        has_header=False,
        schema=schema,
        columns=list(places),
        separator=layout.delimiter,
    )
