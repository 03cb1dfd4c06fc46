"""Columns of a table as users name them: by name, number, range or list."""

import csv
import operator
import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import count

from nfml_jax.errors import UserError
from nfml_jax.ops.names import did_you_mean

LISTED = 6
"""Things that a message names before it says "…"."""


def listed(words: Iterable, most: int = LISTED) -> str:
    """Return the first words with commas between them, and "…" if there are more."""
    words = list(map(str, words))
    return ", ".join(words[:most]) + (", …" if len(words) > most else "")


def quoted(names: Iterable[str]) -> str:
    """Return names of columns in the syntax of the command line after data.drop=."""
    parts = [f'"{name}"' if re.search(r'[,:"]', name) else name for name in names]
    words = ",".join(parts)
    return words if re.fullmatch(r"[\w,.+@%-]*", words) else f"'{words}'"


def different(names: Iterable[str]) -> tuple[str, ...]:
    """Return names in which those that repeat an earlier one end in ".1", ".2", …."""
    found: dict[str, None] = {}
    for name in names:
        others = (f"{name}.{i}" for i in count(1))
        found[
            name if name not in found else next(x for x in others if x not in found)
        ] = None
    return tuple(found)


def places_of(file_name: str, names: Sequence[str], columns) -> list[int]:
    """Return the indices of columns among `names`, in the order of the request.

    Args:
      file_name: the name of the table, for messages.
      names: all of its columns.
      columns: None for all; or a name; a number from 0, negative ones from the end; a
        range "FIRST:END" of numbers, or "FIRST-LAST" and "NAME:NAME", which include
        the last one; a list of these, or one text with commas between them. The
        name of a column is always that column, so a name may hold any sign.

    Raises:
      UserError: if there is no such column.
    """
    if columns is None:
        return list(range(len(names)))
    where = {name: i for i, name in enumerate(names)}
    places = []
    for item in _items(where, columns):
        found = _find(where, item)
        if found is None:
            raise UserError(
                f"{file_name} has no column {item!r}{did_you_mean(item, names)}; it "
                f"has {listed(names, 30)}, numbered from 0 to {len(names) - 1}."
            )
        places += found
    return list(dict.fromkeys(places))


def _items(where: Mapping[str, int], columns) -> list:
    """Return a list of names, numbers and ranges from any notation."""
    if isinstance(columns, str | bytes) or not isinstance(columns, Iterable):
        columns = [columns]
    items = []
    for column in columns:
        if not isinstance(column, str) or column in where or "," not in column:
            items.append(column)
        else:
            parts = next(csv.reader([column], skipinitialspace=True))
            items += [part.strip() for part in parts if part.strip()]
    return items


def _find(where: Mapping[str, int], item) -> list[int] | None:
    """Return the indices of one name, number or range; None if there are none."""
    if str(item) in where:
        return [where[str(item)]]
    everywhere = range(len(where))
    if isinstance(item, str):
        text = item.strip().strip('"')
        if text in where:
            return [where[text]]
        if not re.fullmatch(r"-?\d+", text):
            return _range(where, text)
        item = int(text)
    if isinstance(item, bool):
        return None
    try:
        number = operator.index(item)
    except TypeError:
        return None
    inside = -len(where) <= number < len(where)
    return [everywhere[number]] if inside else None


def _range(where: Mapping[str, int], text: str) -> list[int] | None:
    """Return the indices of "FIRST:END", "FIRST-LAST" or "NAME:NAME", or None."""
    numbers = re.fullmatch(r"(\d*)\s*([:-])\s*(\d*)", text)
    if numbers and (numbers[1] or numbers[3]):
        first = int(numbers[1] or 0)
        end = int(numbers[3]) if numbers[3] else len(where)
        end += numbers[2] == "-" and bool(numbers[3])
        inside = 0 <= first < end <= len(where)
        return list(range(first, end)) if inside else None
    for cut in re.finditer(":", text):
        ends = text[: cut.start()].strip(), text[cut.end() :].strip()
        if all(end in where for end in ends):
            first, last = (where[end] for end in ends)
            return list(range(first, last + 1)) if first <= last else None
    return None
