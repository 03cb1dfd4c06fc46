"""The names of columns in a table of text, in its first line or in a comment."""

import csv
import itertools
import re
import warnings
from collections.abc import Iterable

from nfml_jax.tables.cells import MISSING, is_number
from nfml_jax.tables.columns import different

# A line of numbers is compared with at least five others; three increasing integers or
# eight increasing numbers may be names.
_ENOUGH, _COUNTING, _RISING = 5, 3, 8


def are_names(name: str, first: list[str], others: list[list[str]]) -> bool:
    """Return whether the first line of a table consists of column names."""
    if not others:
        return not any(is_number(field, comma=True) for field in first)
    columns = [
        [row[i] for row in others if i < len(row) and row[i].lower() not in MISSING]
        for i in range(len(first))
    ]
    numeric = [
        bool(column) and all(is_number(field, comma=True) for field in column)
        for column in columns
    ]
    known = [i for i, field in enumerate(first) if field.lower() not in MISSING]
    is_text = {i for i in known if not is_number(first[i], comma=True)}
    if any(numeric[i] for i in is_text):
        return True
    numbers = [i for i in known if i not in is_text]
    if not numbers:
        return bool(is_text)
    if not all(numeric[i] for i in numbers):
        return False
    if _are_numbers_for_names(first, numbers, columns, others):
        warnings.warn(
            f"the first line of {name} ({', '.join(first[:4])}"
            f"{', …' if len(first) > 4 else ''}) is taken for names of columns; if it "
            "is a row, set data.header=no.",
            stacklevel=2,
        )
        return True
    return False


def _are_numbers_for_names(first, numbers, columns, others) -> bool:
    """Return whether a line of numbers, in these places, can only be names.

    This holds where integers stand over numbers that all have a point, where the line
    counts up from 0 or 1, and where it rises over eight columns as no other line does.
    """
    names = [first[i] for i in numbers]
    integers = all(re.fullmatch(r"\d+", name) for name in names)
    if integers and len(set(names)) == len(names):
        whole = any(_is_integer(x) for i in numbers for x in columns[i])
        if not whole and len(others) >= _ENOUGH:
            return True
        counted = [int(name) for name in names]
        start = counted[0]
        if (
            start in (0, 1)
            and (len(counted) >= _COUNTING or not whole)
            and counted == list(range(start, start + len(counted)))
        ):
            return True
    return (
        len(numbers) >= _RISING
        and len(others) > 1
        and _rises(names)
        and not any(_rises([row[i] for i in numbers if i < len(row)]) for row in others)
    )


def _is_integer(field: str) -> bool:
    return re.fullmatch(r"[-+]?\d+", field) is not None


def _rises(fields) -> bool:
    try:
        values = [float(field.replace(",", ".")) for field in fields]
    except ValueError:
        return False
    return all(a < b for a, b in itertools.pairwise(values))


def names_in_comment(comment: str, delimiter: str, width: int) -> list[str]:
    """Return the names of `width` columns, or of all but one, in a comment; or none."""
    words = comment.lstrip("#% ").strip()
    for mark in dict.fromkeys((delimiter, ",", ";", "\t", " ")):
        parted = re.sub(r"\s+", " ", words) if mark == " " else words
        fields = next(csv.reader([parted], delimiter=mark, skipinitialspace=True), [])
        fields = [field.strip() for field in fields]
        fits = len(fields) == width or (mark == delimiter and len(fields) == width - 1)
        if fits and width > 1 and not all(map(is_number, fields)):
            return fields
        if fields == [words] and width == 1 and words.isidentifier():
            return fields
    return []


def counts_or_names(fields: Iterable[str]) -> bool:
    """Return whether fields number the rows, all different, or are a text for each."""
    fields = list(fields)
    if all(map(_is_integer, fields)):
        return len(set(fields)) == len(fields)
    return len(set(fields)) == len(fields) and not any(map(is_number, fields))


def column_names(given: list[str] | None, width: int) -> tuple[str, ...]:
    """Return a different name for each column: the given one, or else its number."""
    given = [*(given or []), *[""] * width][:width]
    return different(name or str(i) for i, name in enumerate(given))
