"""The columns of a table that are used: those to model, and those that are given."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from nfml_jax.errors import UserError
from nfml_jax.tables.cells import Numbers, is_missing, is_number
from nfml_jax.tables.columns import quoted
from nfml_jax.tables.table import Table


@dataclass(frozen=True)
class Chosen:
    """The columns chosen from the tables of all parts.

    `rows` are float64 `[N, len(names)]` for each part, and `numbers` the indices of
    these rows in the file. `given` are the positions of the columns to condition on. A
    text column among them is encoded in `rows` as an index into its `levels`. `texts`
    are the labels of each part as written, and `codes` their indices into `classes`.
    `notes` describe what was left out.
    """

    names: tuple[str, ...]
    rows: Mapping[str, np.ndarray]
    numbers: Mapping[str, np.ndarray]
    given: list[int]
    levels: tuple[tuple[str, ...], ...] = ()
    texts: Mapping[str, list[str]] = field(default_factory=dict)
    codes: Mapping[str, np.ndarray] = field(default_factory=dict)
    classes: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def choose_columns(
    tables: Mapping[str, Table],
    columns=None,
    drop=(),
    context=(),
    labels=None,
    *,
    drop_missing: bool = False,
) -> Chosen:
    """Return columns of the tables of all parts, which have the same columns.

    Args:
      tables: the table of each part.
      columns: the columns to keep, None for all.
      drop: the columns among these to leave out.
      context: the columns to condition on.
      labels: the one of classes.
      drop_missing: True to leave out rows with a missing value.

    Raises:
      UserError: naming columns that are not there, and values that cannot be used.
    """
    first = next(iter(tables.values()))
    left_out = set(first.places(drop))
    given = first.places(context if labels is None else labels)
    if labels is not None and len(given) != 1:
        raise UserError(f"labels is {labels!r}; name one column.")
    kept = [i for i in first.places(columns) if i not in left_out or i in given]
    kept += [i for i in given if i not in kept]
    texts = {}
    for place in given:
        columns_of = {
            part: t.texts(_place(t, first, place)) for part, t in tables.items()
        }
        if labels is not None or _is_text(tables, first, place):
            texts[place] = columns_of
    found = {
        part: _read_part(
            table, first, kept, {i: texts[i][part] for i in texts}, drop_missing
        )
        for part, table in tables.items()
    }
    levels = []
    for place in given if labels is None else ():
        levels.append(_levels(texts[place], found) if place in texts else ())
        _check_levels(first, place, levels[-1], found)
        for part in found if place in texts else ():
            rows, numbers = found[part]
            written = np.array(texts[place][part], object)[numbers]
            rows[:, kept.index(place)] = [levels[-1].index(text) for text in written]
    dropped = sum(len(t) - len(found[part][1]) for part, t in tables.items())
    notes = [note for note in {table.note for table in tables.values()} if note]
    if dropped:
        notes.append(f"without {dropped:,} rows in which a value is missing")
    return Chosen(
        tuple(first.columns[i] for i in kept),
        {part: rows for part, (rows, _) in found.items()},
        {part: numbers for part, (_, numbers) in found.items()},
        [kept.index(i) for i in given],
        tuple(levels) if any(levels) else (),
        {}
        if labels is None
        else {p: [texts[given[0]][p][i] for i in n] for p, (_, n) in found.items()},
        notes=tuple(notes),
    )


def name_classes(name: str, chosen: Chosen) -> Chosen:
    """Return chosen columns with the labels' exact texts as classes, numbered from 0.

    Classes are in the order of their numbers, if they are numbers, else of their names.
    """
    integers = {part: list(map(_as_integer, x)) for part, x in chosen.texts.items()}
    texts = {part: [t for t in x if t is not None] for part, x in integers.items()}
    if any(len(texts[part]) < len(x) for part, x in integers.items()):
        texts = chosen.texts
    values = {text for x in texts.values() for text in x}
    numeric = all(map(is_number, values))
    classes = sorted(values, key=lambda text: (float(text) if numeric else 0, text))
    train = texts["train"] if "train" in texts else texts["rows"]
    count = sum(map(len, texts.values()))
    fractions = numeric and any(not float(text).is_integer() for text in values)
    if fractions or len(values) > max(count / 2, 1) or not values <= set(train):
        raise UserError(
            f"{chosen.names[chosen.given[0]]} of {name} takes {len(values):,} values "
            f"in {count:,} rows, from {classes[0]} to {classes[-1]}; to be labels they "
            "must be integers or names, each of several rows and among the training "
            "rows."
        )
    number = {text: i for i, text in enumerate(classes)}
    codes = {part: np.array([number[text] for text in x]) for part, x in texts.items()}
    return replace(chosen, codes=codes, classes=tuple(classes))


def _as_integer(text: str) -> str | None:
    """Return "1" for "1.0" and "1", None for a text that is no integer."""
    found = re.fullmatch(r"(-?(?:0|[1-9]\d*))(?:\.0*)?", text)
    return found[1] if found else None


def _place(table: Table, first: Table, place: int) -> int:
    """Return the index in another table of a column of the first table."""
    if not (table.named and first.named):
        return place
    name = first.columns[place]
    if name not in table.columns:
        raise UserError(
            f"{table.file} has no column {name!r}, which {first.file} has; give all "
            "parts the same columns."
        )
    return table.columns.index(name)


def _is_text(tables, first, place) -> bool:
    read = (
        table.read_numbers([_place(table, first, place)])[0]
        for table in tables.values()
    )
    return any(len(column.wrong) for column in read)


def _levels(texts: Mapping[str, list], found) -> tuple[str, ...]:
    """Return the sorted values of a text column in the rows that are used."""
    return tuple(sorted({texts[part][i] for part, (_, n) in found.items() for i in n}))


def _check_levels(table: Table, place: int, levels, found) -> None:
    """Raise UserError for a text column with nearly as many values as rows."""
    count = sum(len(numbers) for _, numbers in found.values())
    if len(levels) > max(count / 2, 1):
        raise UserError(
            f"column {table.columns[place]} of {table.file} takes {len(levels):,} "
            f"values in {count:,} rows, from {levels[0]} to {levels[-1]}; to condition "
            "on names, each must be of several rows, so leave it out of data.context, "
            "or make numbers of it."
        )


def _read_part(table: Table, first: Table, kept, texts, drop_missing):
    """Return one part's rows of the used columns, and their indices in the file.

    Text columns are 0. Rows with missing values are left out if `drop_missing`.
    """
    here = [_place(table, first, i) for i in kept if i not in texts]
    rows = table.numbers(here, missing=drop_missing)
    lacking = (
        ~np.isfinite(rows).all(axis=1) if drop_missing else np.zeros(len(rows), bool)
    )
    for place, written in texts.items():
        empty = np.array([is_missing(text) for text in written], bool)
        if empty.any() and not drop_missing:
            column = Numbers(np.zeros(0), np.flatnonzero(empty), np.array([], int))
            table.check_missing({first.columns[place]: column})
        lacking |= empty
        rows = np.insert(rows, kept.index(place), 0.0, axis=1)
    numbers = np.flatnonzero(~lacking)
    if not len(numbers):
        raise UserError(
            f"{table.file} has no row in which no value is missing; leave the columns "
            f"out that lack most, with data.drop={quoted(['NAME'])}."
        )
    return (rows if len(numbers) == len(rows) else rows[numbers]), numbers
