"""Tables of labels: the class, and perhaps the part, of each picture of a tree."""

import io
from collections import defaultdict
from collections.abc import Iterable
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from nfml_jax import tables
from nfml_jax.data.class_folders import PARTS, part_of
from nfml_jax.data.file_names import member_parts, readable
from nfml_jax.data.trees import Tree
from nfml_jax.data.unread import NO_LABEL, NO_PICTURES
from nfml_jax.errors import UserError

if TYPE_CHECKING:
    from nfml_jax.tables import Table

# Names of a column; the first of a line that the table has is taken.
COLUMNS = {
    "path": "path file filepath file_path filename file_name image_path image "
    "image_name image_id img picture photo name id",
    "label": "label class class_name label_name category target identity person "
    "subject species breed y",
    "split": "split part subset set partition usage",
}

# Faults of a row -> the description, and the remedy.
FAULTS = {
    "empty": ("without a label", "fill it in, or take the row away"),
    "split": ("with an unknown split", f"expected one of {', '.join(PARTS)}"),
    "missing": (
        "of no single file in {root}",
        "give each path as it is in there, or take the row away",
    ),
    "twice": ("of a file that an earlier row names", "leave one row of each file"),
}

# Maximum number of rows with a fault that an error names.
NAMED = 5


def by_table(tree: Tree, labels: str) -> dict[PurePosixPath, tuple[str, str]]:
    """Return the part ("" if none is given) and the class of each picture by its path.

    `labels` is a table with the columns path, label and perhaps split, or synonyms of
    these. It lies in the tree, beside it, or at the path. A path in it is one in the
    tree, or the end of a single one, with or without the suffix. Pictures that it
    doesn't name are left out and counted.

    Raises UserError for a row without a label, of an unknown split, of no picture, or
    of one that an earlier row names.
    """
    own, rows = _open(tree, labels)
    path, label, split = (
        [None] * len(rows) if place is None else rows.texts(place)
        for place in _columns(rows)
    )
    given = split != [None] * len(rows)
    pictures = _Lookup(tree.files)
    faults: dict[str, list[tuple[int, str]]] = {fault: [] for fault in FAULTS}
    table: dict[PurePosixPath, tuple[str, str]] = {}
    for row, (file, name, said) in enumerate(zip(path, label, split, strict=True)):
        part = part_of(said or "") if given else ""
        found = pictures.find(file or "")
        if not name:
            faults["empty"].append((row, ""))
        elif part is None:
            faults["split"].append((row, f"{said!r} in "))
        elif len(found) != 1:
            files = f"{file}, which {len(found)} files end in," if found else file
            faults["missing"].append((row, f"{files} in "))
        elif found[0] in table:
            faults["twice"].append((row, f"{file} in "))
        else:
            table[found[0]] = part, readable(name)
    _refuse(rows, faults, tree.root)
    unnamed = [path for path in tree.pictures if path not in table]
    tree.unread.add_suffixes(NO_LABEL, unnamed)
    others = [path for path in tree.others if path not in table and path != own]
    tree.unread.add_suffixes(NO_PICTURES, others)
    return dict(sorted(table.items()))


def _refuse(rows: "Table", faults, root: Path) -> None:
    """Raise UserError for the first kind of fault that rows have, naming some of them.

    `faults` are the numbers of rows with what they hold, by the kind of `FAULTS`.
    """
    for kind, wrong in faults.items():
        if not wrong:
            continue
        what, remedy = (text.format(root=root) for text in FAULTS[kind])
        count = "1 row" if len(wrong) == 1 else f"{len(wrong):,} rows"
        named = [held + rows.row_in_words(row) for row, held in wrong[:NAMED]]
        if len(wrong) > NAMED:
            named.append(f"{len(wrong) - NAMED:,} more")
        raise UserError(
            f"{rows.file} has {count} {what} ({'; '.join(named)}); {remedy}."
        )


class _Lookup:
    """A search for files of a tree by a path, or by the end of one."""

    def __init__(self, files: Iterable[PurePosixPath]):
        self._by_name = defaultdict(list)
        self._by_stem = defaultdict(list)
        for path in files:
            parts = member_parts(readable(str(path)))
            self._by_name[parts[-1]].append((parts, path))
            stem = (*parts[:-1], PurePosixPath(parts[-1]).stem)
            self._by_stem[stem[-1]].append((stem, path))

    def find(self, text: str) -> list[PurePosixPath]:
        """Return the file of a path, or all files with which it shares its end."""
        asked = member_parts(readable(text.strip().replace("\\", "/")))
        if not asked:
            return []
        for table in (self._by_name, self._by_stem):
            found = table.get(asked[-1], [])
            if exact := [path for parts, path in found if parts == asked]:
                return exact
            if ending := [path for parts, path in found if _one_ends(parts, asked)]:
                return ending
        return []


def _one_ends(a: tuple, b: tuple) -> bool:
    """Return whether the longer of two paths ends in the shorter one."""
    common = min(len(a), len(b))
    return a[-common:] == b[-common:]


def _columns(table: "Table") -> list[int | None]:
    """Return the numbers of the columns path, label and split, None for no split."""
    known = [name.strip().casefold().replace(" ", "_") for name in table.columns]
    found = []
    for column, synonyms in COLUMNS.items():
        of_name = (known.index(s) for s in synonyms.split() if s in known)
        found.append(next(of_name, None))
        if found[-1] is None and column != "split":
            raise UserError(
                f"{table.file} begins with the columns {', '.join(table.columns)}, and "
                f"none of them is the {column}; expected a first line such as "
                "path,label or path,label,split."
            )
    return found


def _open(tree: Tree, labels: str) -> tuple[PurePosixPath | None, "Table"]:
    """Return the table of labels, and its path if it lies in the tree."""
    asked = member_parts(str(labels).replace("\\", "/"))
    inside = [path for path in tree.files if path.parts[-len(asked) :] == asked]
    inside.sort(key=lambda path: len(path.parts))
    if inside and not Path(labels).is_absolute():
        content = tree.read(inside[0])
        return inside[0], _read(inside[0].name, lambda: io.BytesIO(content))
    for path in (tree.root.parent / labels, Path(labels).expanduser()):
        if path.is_file():
            return None, _read(path.name, partial(path.open, "rb"))
    raise UserError(
        f"data.labels is {labels}, which is neither in {tree.root} nor beside it; "
        "expected a table with the columns path and label."
    )


def _read(name: str, open_file) -> "Table":
    """Return a table whose first line has the names of its columns."""
    found = tables.read_table(name, open_file, header="yes")
    if "rows" not in found:
        raise UserError(f"{name} has no columns path and label; give a table of text.")
    return found["rows"]
