"""Manually downloaded files, in folders and in zips, and rows of numbers from them."""

import os
import zipfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

import numpy as np

from nfml_jax.data.draws import with_every_class
from nfml_jax.data.idx_copies import DEFAULT_MANUAL_DIR
from nfml_jax.data.vectors.arrays import LoadedVectors
from nfml_jax.data.vectors.rows import draw_rows
from nfml_jax.errors import UserError
from nfml_jax.ops.checks import refuse
from nfml_jax.tables.chosen_columns import Chosen, choose_columns, name_classes
from nfml_jax.tables.reader import (
    PARQUET_SUFFIXES,
    PART_NAMES,
    TEXT_SUFFIXES,
    Open,
    kind_of,
    read_table,
)
from nfml_jax.tables.table import Table


def manual_folder(manual_dir: str | os.PathLike | None) -> Path:
    """Return the folder of manually downloaded files."""
    return Path(manual_dir or DEFAULT_MANUAL_DIR).expanduser()


def manual_files(
    manual_dir: str | os.PathLike | None, pattern: str
) -> dict[PurePosixPath, Open]:
    """Return functions that open the files whose path ends as `pattern`, by path.

    They lie anywhere below `manual_dir`, or in zips that lie in it. Paths are sorted.
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
            continue  # it may be an unrelated file of the user
        for name in sorted(archive.namelist()):
            if PurePosixPath(name).match(pattern):
                inside = PurePosixPath(path.name, name)
                found[inside] = lambda archive=archive, name=name: archive.open(name)
    return found


def load_vector_file(
    *,
    path="",
    columns=None,
    drop=(),
    context=(),
    labels=None,
    missing: str = "refuse",
    header: str = "auto",
    validation: float = 0.1,
    test: float = 0.1,
    manual_dir=None,
    seed: int = 0,
) -> LoadedVectors:
    """Return the rows of a file, or of a folder with a file for each part.

    Args:
      path: .npy `[N, D]`; .npz of one such array, or of `train`, `validation` (or
        `valid`, `val`) and `test`, and `columns` to name them; a table of text or
        Parquet; a folder of such files named train.*, validation.* and test.*. If
        it isn't there, it may be in `manual_dir`.
      columns: the columns to keep, as `columns.places_of` takes them; None keeps all.
      drop: the columns among these to leave out.
      context: the columns that the density of the others is conditioned on; text is
        given as one-hot vectors.
      labels: the one that names classes, to condition on instead.
      missing: "refuse" rows in which a value is missing, or "drop" them.
      header: whether the first line of a text has names: "auto", "yes" or "no".
      validation: fraction, or count, of the training rows to set aside, unless the
        parts are given; 0 for none.
      test: likewise, of all rows, set aside first.
      manual_dir: the folder of manually downloaded files, by default `~/nfml_data`.
      seed: the seed of these draws.

    Raises:
      UserError: if there is no such file, or it holds no table of numbers.
    """
    if not path:
        raise UserError("there is no table to read; give data.path=FILE.")
    if not isinstance(path, str | os.PathLike):
        refuse("data", "path", path, "the path of a file or a folder")
    if missing not in ("refuse", "drop"):
        raise UserError(f"missing is {missing!r}; it must be 'refuse' or 'drop'.")
    if context and labels is not None:
        raise UserError(
            f"context is {context} and labels {labels!r}; condition on one of them."
        )
    given, path = path, find_table(path, manual_dir)
    tables = _read_tables(given, path, header)
    chosen = choose_columns(
        tables, columns, drop, context, labels, drop_missing=missing == "drop"
    )
    if labels is not None:
        chosen = name_classes(path.name, chosen)
    parts = _split(path.name, chosen, validation, test, seed)
    order = [i for i in range(len(chosen.names)) if i not in chosen.given]
    order += chosen.given
    rows = {
        part: chosen.rows[table][places][:, order]
        for part, (table, places) in parts.items()
    }
    if labels is not None:
        codes = {part: chosen.codes[table][p] for part, (table, p) in parts.items()}
        rows = {
            part: np.concatenate([x[:, :-1], codes[part][:, None]], axis=1)
            for part, x in rows.items()
        }
    return LoadedVectors(
        f"vectors:{path.name.removesuffix(path.suffix)}",
        ", ".join([path.name, *chosen.notes]),
        tuple(chosen.names[i] for i in order),
        rows["train"],
        rows.get("validation"),
        rows["test"],
        given=len(chosen.given),
        classes=chosen.classes,
        levels=chosen.levels,
        numbers={part: chosen.numbers[table][p] for part, (table, p) in parts.items()},
        drawn=set(tables) == {"rows"},
    )


def find_table(path, manual_dir=None) -> Path:
    """Return the place of a file or folder: `path` itself, or below `manual_dir`."""
    found = Path(path).expanduser()
    return found if found.exists() else manual_folder(manual_dir) / found


def _read_tables(given, path: Path, header: str) -> dict[str, Table]:
    if path.is_dir():
        tables = _read_folder(path, header)
        if not tables:
            raise UserError(
                f"the folder {given} has no file named train, validation or test, such "
                "as train.csv; name its files so, or give the path of one table."
            )
    elif path.is_file():
        tables = read_table(path.name, lambda: path.open("rb"), header)
    else:
        raise UserError(
            f"path {given} does not exist; expected a .csv, .npy, .npz or .parquet "
            "file, or a folder with train, validation and test files."
        )
    widths = {len(table.columns) for table in tables.values()}
    if len(widths) != 1:
        raise UserError(
            f"{path.name} has the parts {', '.join(tables)} of "
            f"{' and '.join(map(str, sorted(widths)))} columns; expected "
            "train, validation and test of the same columns."
        )
    return tables


def _split(name: str, chosen: Chosen, validation, test, seed):
    """Return the table of each part's rows, and the indices of the rows in it."""
    parts = {part: np.arange(len(rows)) for part, rows in chosen.rows.items()}
    if set(parts) == {"rows"}:
        rest, held_out = draw_rows(len(parts["rows"]), test, seed, "test")
        if held_out is None:
            raise UserError(
                f"test is {test}, but {name} has no test rows of its own; set a "
                "fraction of its rows aside, such as 0.1."
            )
        split = {"train": ("rows", rest), "test": ("rows", held_out)}
    elif missing := {"train", "test"} - set(parts):
        raise UserError(f"{name} has no {missing.pop()} rows beside the others.")
    else:
        split = {part: (part, places) for part, places in parts.items()}
    if "validation" not in split:
        table, places = split["train"]
        rest, held_out = draw_rows(len(places), validation, seed + 1, "validation")
        split["train"] = table, places[rest]
        if held_out is not None:
            split["validation"] = table, places[held_out]
    return _with_every_class(split, chosen.codes)


def _with_every_class(
    split: Mapping[str, tuple[str, np.ndarray]], codes: Mapping[str, np.ndarray]
):
    """Move a row to the training part for each class that has none there."""
    train_table, train = split["train"]
    moved = dict(split)
    for part, (table, places) in split.items():
        if part != "train" and table == train_table and codes:
            train, places = with_every_class(codes[table], train, places)
            moved[part] = table, places
    return moved | {"train": (train_table, train)}


def _read_folder(folder, header) -> dict[str, Table]:
    kinds = (*TEXT_SUFFIXES, *PARQUET_SUFFIXES, ".npy")
    parts = {}
    for part, stems in PART_NAMES.items():
        for file in sorted(folder.iterdir()):
            if file.name.split(".")[0] in stems and kind_of(file.name) in kinds:
                found = read_table(file.name, lambda f=file: f.open("rb"), header)
                parts[part] = found["rows"]
    return parts
