"""Tables of numbers and names: .npy, .npz, Parquet and text, by column and by part."""

import csv
import io
import zipfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import PurePosixPath
from typing import IO

import numpy as np
import polars as pl

from nfml_jax.errors import UserError
from nfml_jax.tables.columns import different
from nfml_jax.tables.table import ArrayTable, FrameTable, Table, TextTable, parse_text
from nfml_jax.tables.text_files import COMPRESSED, read_bytes, to_utf8
from nfml_jax.tables.text_layout import read_layout

TEXT_SUFFIXES = (".csv", ".tsv", ".txt", ".data", ".dat", ".tab", ".asc")
ARRAY_SUFFIXES = (".npy", ".npz")
PARQUET_SUFFIXES = (".parquet", ".pq")
PART_NAMES = {
    "train": ("train",),
    "validation": ("validation", "valid", "val"),
    "test": ("test",),
}

Open = Callable[[], AbstractContextManager[IO[bytes]]]


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
      file_name: the name of the file, for messages.
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
        count = parse_text(layout, [0], pl.String).height
    except pl.exceptions.ComputeError:
        count = -1
    # Delimiters in quotes count here, too: only then are fields counted one by one.
    if layout.body.count(layout.delimiter.encode()) != count * (width - 1):
        _check_fields(file_name, layout, text)
    if count < 0:
        raise UserError(
            f"{file_name} has no delimiter that divides it into columns; save it as "
            ".csv."
        )
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
                f"where other rows have {width}; correct that line, or put quotes "
                "around fields that contain a delimiter."
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
