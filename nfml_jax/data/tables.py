"""Tables of numbers: .npy, .npz and text, by column and by part."""

import zipfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import PurePosixPath
from typing import BinaryIO

import numpy as np

from nfml_jax.errors import UserError

TEXT_SUFFIXES = (".csv", ".tsv", ".txt", ".data")
PART_NAMES = {
    "train": ("train",),
    "validation": ("validation", "valid", "val"),
    "test": ("test",),
}

Open = Callable[[], AbstractContextManager[BinaryIO]]


def read_table(file_name: str, open_file: Open, columns=None):
    """Column names, and rows float64 `[N, D]` by part; the part "rows" is all of it."""
    suffix = PurePosixPath(file_name).suffix.lower()
    if suffix in (".npy", ".npz"):
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
        return _select(file_name, _parts(file_name, arrays), names, columns)
    if suffix in TEXT_SUFFIXES:
        names, rows = _read_text(file_name, open_file, columns)
        return names, {"rows": rows}
    raise UserError(
        f"{file_name} is of an unknown kind; expected .npy, .npz or "
        f"{', '.join(TEXT_SUFFIXES)}."
    )


def _parts(file_name, arrays):
    """The arrays of an .npz by part; an only one is all rows."""
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


def _select(file_name, parts, names, columns):
    widths = set()
    for part, rows in parts.items():
        if rows.ndim != 2 or rows.dtype.kind not in "fiub":
            raise UserError(
                f"{file_name} has {part} of shape {rows.shape} and type {rows.dtype}; "
                "expected numbers [rows, columns]."
            )
        widths.add(rows.shape[1])
    if len(widths) != 1:
        raise UserError(
            f"{file_name} has parts of {' and '.join(map(str, sorted(widths)))} "
            "columns; expected the same number in each."
        )
    width = widths.pop()
    names = [str(name) for name in (range(width) if names is None else names)]
    places = places_of(file_name, names, columns)
    chosen = {part: rows[:, places].astype(np.float64) for part, rows in parts.items()}
    return tuple(names[i] for i in places), chosen


def places_of(file_name, names, columns) -> list[int]:
    """Where the wanted columns, given by name or number, are."""
    if columns is None:
        return list(range(len(names)))
    places = []
    for column in [columns] if isinstance(columns, str | int) else columns:
        if column in names:
            places.append(names.index(column))
        elif not isinstance(column, str) and -len(names) <= column < len(names):
            places.append(range(len(names))[column])
        else:
            raise UserError(
                f"{file_name} has no column {column!r}; it has {', '.join(names)}."
            )
    return places


def _read_text(file_name, open_file, columns):
    """Names and rows of a table; columns are parted by `,`, `;`, tabs or spaces."""
    with open_file() as file:
        first = file.readline().decode("utf-8-sig", "replace").strip()
        delimiter = next((mark for mark in ",;\t" if mark in first), None)
        fields = [field.strip().strip('"') for field in first.split(delimiter)]
        has_names = not any(_is_number(field) for field in fields)
        names = fields if has_names else [str(i) for i in range(len(fields))]
        places = places_of(file_name, names, columns)
        file.seek(0)
        try:
            rows = np.loadtxt(
                file,
                delimiter=delimiter,
                quotechar='"',
                skiprows=int(has_names),
                usecols=places,
                ndmin=2,
                encoding="utf-8-sig",
            )
        except (ValueError, UnicodeDecodeError) as error:
            raise UserError(
                f"{file_name} is not a table of numbers ({error}); fill in what is "
                "missing, and keep only columns of numbers with `columns`."
            ) from error
    return tuple(names[i] for i in places), rows


def _is_number(field) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return True
