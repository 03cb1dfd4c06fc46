"""Tables of numbers and names: .npy, .npz, Parquet and text, by column and by part."""

import csv
import io
import zipfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import IO, Any

import numpy as np
import polars as pl

from nfml_jax.errors import UserError
from nfml_jax.tables.cells import Numbers, to_numbers
from nfml_jax.tables.columns import different, listed, places_of, quoted
from nfml_jax.tables.text_files import COMPRESSED, read_bytes, to_utf8
from nfml_jax.tables.text_layout import Layout, read_layout

TEXT_SUFFIXES = (".csv", ".tsv", ".txt", ".data", ".dat", ".tab", ".asc")
ARRAY_SUFFIXES = (".npy", ".npz")
PARQUET_SUFFIXES = (".parquet", ".pq")
PART_NAMES = {
    "train": ("train",),
    "validation": ("validation", "valid", "val"),
    "test": ("test",),
}

Open = Callable[[], AbstractContextManager[IO[bytes]]]


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
        """Return the places of columns by name, number, range or list of these."""
        return places_of(self.file, self.columns, columns)

    def read_numbers(self, places: Sequence[int]) -> list[Numbers]:
        """Return columns as numbers, with the places of missing and wrong values."""
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
            places: of the columns, as `places` gives them.
            missing: whether values may be missing; they are NaN then.

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
        return column.cast(pl.String).to_list()


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
        frame = _parse(self.layout, sorted(set(places)), dtype)
        return [frame[str(place)] for place in places]


def _parse(layout: Layout, places: Sequence[int], dtype) -> pl.DataFrame:
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


def read_table(
    file_name: str, open_file: Open, header: str = "auto"
) -> dict[str, Table]:
    """Return the tables of a file by part; the part "rows" is the whole file.

    Args:
        file_name: its suffix is the kind: .npy, .npz, .parquet, or text; .gz, .bz2,
            .xz and .zip may follow.
        open_file: opens it to read bytes.
        header: whether the first line of a text has the names, as of `read_layout`.

    Raises:
        UserError: if the file is of another kind, or damaged.
    """
    suffix = kind_of(file_name)
    if suffix in ARRAY_SUFFIXES:
        return _read_arrays(file_name, open_file)
    if suffix not in (*TEXT_SUFFIXES, *PARQUET_SUFFIXES):
        raise UserError(
            f"{file_name} is of an unknown kind; expected .npy, .npz, .parquet or "
            f"{', '.join(TEXT_SUFFIXES)}, or one of these with .gz behind it."
        )
    with open_file() as file:
        data = read_bytes(file_name, file)
    if suffix in TEXT_SUFFIXES and not data.startswith(b"PAR1"):
        return {"rows": read_text_table(file_name, data, header)}
    try:
        frame = pl.read_parquet(io.BytesIO(data))
    except (pl.exceptions.PolarsError, OSError) as error:
        raise UserError(f"{file_name} is not a Parquet file ({error}).") from error
    # The index of a pandas data frame is not one of its columns.
    kept = [name for name in frame.columns if not name.startswith("__index_level_")]
    return {"rows": FrameTable(file_name, tuple(kept), True, frame.select(kept))}


def read_text_table(file_name: str, data: bytes, header: str = "auto") -> TextTable:
    """Return a table of text, of any usual encoding, delimiter and layout.

    Args:
        file_name: for messages.
        data: the file's content, not compressed.
        header: whether the first line has the names, as of `read_layout`.

    Raises:
        UserError: if it is no text, or rows differ in their number of fields.
    """
    text = to_utf8(file_name, data)
    layout = read_layout(file_name, text, header)
    shift = int(layout.index)
    width = len(layout.columns)
    try:
        count = _parse(layout, [0], pl.String).height
    except pl.exceptions.ComputeError:
        count = -1
    # Delimiters in quotes count here, too: only then are fields counted one by one.
    if layout.body.count(layout.delimiter.encode()) != count * (width - 1):
        _check_fields(file_name, layout, text)
    if count < 0:
        raise UserError(f"{file_name} cannot be parted into columns; save it as .csv.")
    note = "without its first column, which numbers the rows" if shift else ""
    return TextTable(
        file_name,
        layout.columns[shift:],
        layout.named,
        layout,
        count,
        text,
        shift,
        note=note,
    )


def kind_of(file_name: str) -> str:
    """Return a file's suffix in lower case, without that of a compression."""
    path = PurePosixPath(file_name.lower())
    return PurePosixPath(path.stem).suffix if path.suffix in COMPRESSED else path.suffix


def _check_fields(file_name, layout, text) -> None:
    """Raise UserError for the first row with another number of fields."""
    width = len(layout.columns)
    lines = io.StringIO(layout.body.decode())
    for row, fields in enumerate(csv.reader(lines, delimiter=layout.delimiter)):
        if len(fields) != width:
            table = TextTable(
                file_name, layout.columns, layout.named, layout, -1, text, 0
            )
            raise UserError(
                f"{file_name} has {len(fields)} fields in {table.row_in_words(row)} "
                f"where other rows have {width}; mend that line, or put quotes around "
                "what holds a delimiter."
            )


def _read_arrays(file_name, open_file) -> dict[str, Table]:
    try:
        with open_file() as file:
            loaded = np.load(file)
            arrays = (
                {"rows": loaded}
                if isinstance(loaded, np.ndarray)
                else {key: loaded[key] for key in loaded.files}
            )
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(f"{file_name} is not an array file ({error}).") from error
    names = arrays.pop("columns", None)
    parts = _parts(file_name, arrays)
    return {part: _array_table(file_name, part, x, names) for part, x in parts.items()}


def _array_table(file_name, part, array, names) -> ArrayTable:
    if array.dtype.names and array.ndim == 1 and names is None:
        names = array.dtype.names
        if all(array.dtype[name].kind in "fiub" for name in names):
            array = np.stack([array[name] for name in names], axis=1)
    if array.ndim != 2 or array.dtype.kind not in "fiub":
        raise UserError(
            f"{file_name} has {part} of shape {array.shape} and type {array.dtype}; "
            "expected numbers [rows, columns]."
        )
    width = array.shape[1]
    named = names is not None
    columns = [str(name) for name in (np.ravel(names) if named else range(width))]
    if len(columns) != width:
        raise UserError(
            f"{file_name} has {len(columns)} names in `columns` "
            f"({', '.join(columns[:6])}) and {width} columns in {part}; give each "
            "column one."
        )
    return ArrayTable(file_name, different(columns), named, array)


def _parts(file_name, arrays):
    """Return the arrays of an .npz by part; a single one is all rows."""
    if len(arrays) == 1:
        return {"rows": next(iter(arrays.values()))}
    parts = {
        part: arrays[name]
        for part, names in PART_NAMES.items()
        for name in names
        if name in arrays
    }
    if not parts:
        raise UserError(
            f"{file_name} holds {', '.join(arrays) or 'nothing'}; expected one array, "
            "or train, validation and test."
        )
    return parts
