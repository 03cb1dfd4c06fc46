"""Files put there by hand, in folders and in zips, and rows of numbers from them."""

import os
import zipfile
from pathlib import Path, PurePosixPath

from nfml_jax.data.sources import DEFAULT_MANUAL_DIR
from nfml_jax.data.tables import (
    PART_NAMES,
    TEXT_SUFFIXES,
    Open,
    places_of,
    read_table,
)
from nfml_jax.data.vector_arrays import LoadedVectors
from nfml_jax.data.vector_rows import number_classes, set_rows_aside
from nfml_jax.errors import UserError


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
    *,
    path="",
    columns=None,
    context=(),
    labels=None,
    validation: float = 0.1,
    test: float = 0.1,
    manual_dir=None,
    seed: int = 0,
) -> LoadedVectors:
    """Rows of a file, or of a folder with a file for each part.

    Args:
        path: .npy `[N, D]`; .npz of one such array, or of `train`, `validation` (or
            `valid`, `val`) and `test`, and `columns` to name them; a table of text
            with or without a first line of names; a folder of such files named
            train.*, validation.* and test.*. If it isn't there, it may be in
            `manual_dir`.
        columns: names or numbers of those to keep; None keeps all.
        context: those among them that the density of the others is conditioned on.
        labels: the one among them that numbers classes, to condition on instead.
        validation: fraction, or count, of the training rows to set aside, unless the
            parts are given; 0 for none.
        test: likewise, of all rows, set aside first.
        seed: of these draws.

    Raises:
        UserError: if there is no such file, or it holds no table of numbers.
    """
    if not path:
        raise UserError("there is no table to read; give data.path=FILE.")
    given = path
    path = Path(path).expanduser()
    if not path.exists():
        path = manual_folder(manual_dir) / path
    if path.is_dir():
        names, parts = _read_folder(path, columns)
    elif path.is_file():
        names, parts = read_table(path.name, lambda: path.open("rb"), columns)
    else:
        raise UserError(
            f"path {given} does not exist; expected a .npy, .npz or .csv file, or a "
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
    if context and labels is not None:
        raise UserError(
            f"context is {context} and labels {labels!r}; condition on one of them."
        )
    last = places_of(path.name, list(names), context if labels is None else labels)
    order = [i for i in range(len(names)) if i not in last] + last
    loaded = LoadedVectors(
        f"vectors:{path.stem}",
        path.name,
        tuple(names[i] for i in order),
        **{part: None if x is None else x[:, order] for part, x in parts.items()},
        given=len(last),
    )
    return loaded if labels is None else number_classes(loaded)


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
