"""Rows of numbers from files: .npy, .npz and text tables, in folders and in zips."""

import os
import zipfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path, PurePosixPath
from typing import BinaryIO

import numpy as np

from nfml_jax.data.sources import DEFAULT_MANUAL_DIR
from nfml_jax.data.vector_arrays import LoadedVectors, set_rows_aside
from nfml_jax.errors import UserError

TEXT_SUFFIXES = (".csv", ".tsv", ".txt", ".data")
PART_NAMES = {
    "train": ("train",),
    "validation": ("validation", "valid", "val"),
    "test": ("test",),
}

Open = Callable[[], AbstractContextManager[BinaryIO]]


def manual_folder(manual_dir: str | os.PathLike | None) -> Path:
    """The folder of files put there by hand."""
    return Path(manual_dir or DEFAULT_MANUAL_DIR).expanduser()


def manual_files(
    manual_dir: str | os.PathLike | None, pattern: str
) -> dict[PurePosixPath, Open]:
    """Ways to open the files whose path ends as `pattern`, by path, in order.

    They lie anywhere below `manual_dir`, or in zips that lie in it.
    """
    root = manual_folder(manual_dir)
    found: dict[PurePosixPath, Open] = {}
    for path in sorted(root.glob(f"**/{pattern}")):
        relative = PurePosixPath(path.relative_to(root))
        found[relative] = lambda path=path: path.open("rb")
    for path in sorted(root.glob("*.zip")):
        try:
            archive = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, OSError):
            continue  # it may be any other file of the person's
        for name in sorted(archive.namelist()):
            if PurePosixPath(name).match(pattern):
                inside = PurePosixPath(path.name, name)
                found[inside] = lambda archive=archive, name=name: archive.open(name)
    return found


def load_vector_file(
    *, path, columns=None, validation: float = 0.1, test: float = 0.1, seed: int = 0
) -> LoadedVectors:
    """Rows of a file, or of a folder with a file for each part.

    Args:
        path: .npy `[N, D]`; .npz of one such array, or of `train`, `validation` (or
            `valid`, `val`) and `test`, and `columns` to name them; a table of text
            with or without a first line of names; a folder of such files named
            train.*, validation.* and test.*.
        columns: names or numbers of those to keep; None keeps all.
        validation: fraction, or count, of the training rows to set aside, unless the
            parts are given; 0 for none.
        test: likewise, of all rows, set aside first.
        seed: of these draws.

    Raises:
        UserError: if there is no such file, or it holds no table of numbers.
    """
    path = Path(path).expanduser()
    if path.is_dir():
        names, parts = _read_folder(path, columns)
    elif path.is_file():
        names, parts = read_table(path.name, lambda: path.open("rb"), columns)
    else:
        raise UserError(
            f"path {path} does not exist; expected a .npy, .npz or .csv file, or a "
            "folder with train, validation and test files."
        )
    if set(parts) == {"rows"}:
        rest, held_out = set_rows_aside(parts["rows"], test, seed, "test")
        if held_out is None:
            raise UserError(
                f"test is {test}, but {path.name} has no test rows of its own; set a "
                "fraction of its rows aside, such as 0.1."
            )
        parts = {"train": rest, "test": held_out}
    elif missing := {"train", "test"} - set(parts):
        raise UserError(f"{path.name} has no {missing.pop()} rows beside the others.")
    if "validation" not in parts:
        parts["train"], parts["validation"] = set_rows_aside(
            parts["train"], validation, seed + 1, "validation"
        )
    return LoadedVectors(f"vectors:{path.stem}", path.name, names, **parts)


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


def _read_folder(folder, columns):
    parts = {}
    for part, stems in PART_NAMES.items():
        for file in sorted(folder.iterdir()):
            if file.stem in stems and file.suffix.lower() in (*TEXT_SUFFIXES, ".npy"):
                names, found = read_table(
                    file.name, lambda f=file: f.open("rb"), columns
                )
                parts[part] = found["rows"]
    widths = {rows.shape[1] for rows in parts.values()}
    if len(widths) != 1:
        raise UserError(
            f"{folder} has the parts {', '.join(parts) or 'none'} of "
            f"{', '.join(map(str, sorted(widths)) or ['no'])} columns; expected "
            "train.*, validation.* and test.* of the same columns."
        )
    return names, parts


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
    places = _places(file_name, names, columns)
    chosen = {part: rows[:, places].astype(np.float64) for part, rows in parts.items()}
    return tuple(names[i] for i in places), chosen


def _places(file_name, names, columns) -> list[int]:
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
        places = _places(file_name, names, columns)
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
