"""Conversion of fields of text to numbers, and descriptions of other text."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

MISSING = frozenset(
    ("", "?", "na", "n/a", "#n/a", "nan", "null", "none", "-", ".", "missing")
)
"""The words, in lower case, by which tables mark a missing value."""

MISSING_TEXT = frozenset(("", "?", "na", "n/a", "#n/a", "nan", "null"))
"""The same of columns of text, of which "none" may be a value."""

_NUMBER = re.compile(
    r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?|[-+]?(nan|inf(inity)?)", re.I
)
# such as 1,5 and 1.234.567,5
_DECIMAL_COMMA = r"^[-+]?(?:\d*|\d{1,3}(?:\.\d{3})+),\d+(?:[eE][-+]?\d+)?$"
# such as 1,234 and 1,234,567.8
_THOUSANDS = r"^[-+]?\d{1,3}(?:,\d{3})+(?:\.\d+)?$"
_DATE = re.compile(
    r"\d{4}[-/.]\d{1,2}[-/.]\d{1,2}([T ].*)?|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4}( .*)?"
    r"|\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?"
)
_BOOLEANS = {"true": 1.0, "false": 0.0}
MOST_CLASSES = 100
"""Different texts of a column that may be classes."""


def is_number(field: str, comma: bool = False) -> bool:
    """Return whether a field is a number; `comma` allows a decimal comma."""
    field = field.strip()
    if _NUMBER.fullmatch(field):
        return True
    return comma and re.match(_DECIMAL_COMMA, field) is not None


@dataclass(frozen=True)
class Numbers:
    """A column of text as float64 `[N]`, NaN where a value is missing or no number.

    `missing` and `wrong` are the rows of either kind, `wrong_values` the texts there.
    `kind` describes the content of a column with wrong values.
    """

    values: np.ndarray
    missing: np.ndarray
    wrong: np.ndarray
    wrong_values: Sequence[str] = ()
    kind: str = ""

    @property
    def are_classes(self) -> bool:
        return self.kind.startswith("the classes")


def to_numbers(column: pl.Series, delimiter: str = ",") -> Numbers:
    """Return a column as numbers.

    Args:
      column: numbers or text of any type.
      delimiter: the delimiter of fields; if it is a comma, commas in fields may
        separate thousands.
    """
    if column.dtype.is_numeric() or column.dtype == pl.Boolean:
        values = column.cast(pl.Float64).to_numpy()
        missing = np.flatnonzero(np.isnan(values))
        return Numbers(values, missing, np.array([], int))
    text = as_text(column)
    if column.dtype.is_temporal() or column.dtype.is_nested():
        kind = "dates" if column.dtype.is_temporal() else "lists"
        return _not_numbers(text, np.full(len(text), np.nan), kind)
    text = text.str.strip_chars()
    values = text.cast(pl.Float64, strict=False)
    unread = values.is_null() & text.is_not_null()
    if unread.any():
        others = _written_otherwise(text.filter(unread), text, delimiter)
        positions = np.flatnonzero(unread.to_numpy())
        values = values.to_numpy().copy()
        values[positions] = others
    else:
        values = values.to_numpy()
    return _not_numbers(text, values)


def as_text(column: pl.Series) -> pl.Series:
    """Return a column of any type as text, null where it is null."""
    if column.dtype.is_nested() or column.dtype in (pl.Binary, pl.Object):
        words = [None if value is None else str(value) for value in column.to_list()]
        return pl.Series(column.name, words, pl.String)
    return column.cast(pl.String)


def is_missing(text: str | None) -> bool:
    """Return whether a field of a column of text is missing."""
    return text is None or text.lower() in MISSING_TEXT


def _written_otherwise(unread: pl.Series, text: pl.Series, delimiter: str):
    """Return the values of numbers in notations other than Python's, else NaN."""
    unread = (
        unread.str.replace_all("[\u00a0\u202f\u2009']", "")
        .str.replace_all("\u2212", "-")
        .str.replace(r"\s+#.*$", "")
    )
    known = text.str.to_lowercase().is_in([*_BOOLEANS, *MISSING])
    if (known | text.is_null()).all():
        booleans = unread.str.to_lowercase().replace_strict(_BOOLEANS, default=None)
        return booleans.cast(pl.Float64).to_numpy()
    decimal, thousands = (unread.str.contains(p) for p in (_DECIMAL_COMMA, _THOUSANDS))
    grouped = unread.str.contains(r",\d{3}[.,]").any()
    if not grouped and (delimiter != "," or (decimal & ~thousands).any()):
        found = unread.str.replace_all(".", "", literal=True)
        found = found.str.replace(",", ".", literal=True)
        unread = pl.select(pl.when(decimal).then(found).otherwise(unread)).to_series()
    else:
        found = unread.str.replace_all(",", "", literal=True)
        unread = pl.select(pl.when(thousands).then(found).otherwise(unread)).to_series()
    return unread.cast(pl.Float64, strict=False).to_numpy()


def _not_numbers(text: pl.Series, values: np.ndarray, kind: str = "") -> Numbers:
    empty = np.flatnonzero(np.isnan(values))
    found = text.gather(empty) if len(empty) else text.head(0)
    is_missing = found.is_null() | found.str.to_lowercase().is_in(list(MISSING))
    is_missing = is_missing.to_numpy()
    wrong = empty[~is_missing]
    wrong_values = found.filter(pl.Series(~is_missing)).to_list()
    if len(wrong) and not kind:
        kind = _kind(wrong_values, len(values) - len(empty) + len(wrong))
    return Numbers(values, empty[is_missing], wrong, wrong_values, kind)


def _kind(wrong: list[str], count: int) -> str:
    """Return words for a column with text: dates, classes, text, or mixed.

    `wrong` are the values that aren't numbers, among `count` values.
    """
    different = list(dict.fromkeys(wrong))
    if all(map(_DATE.fullmatch, different[:1000])):
        return "dates"
    if len(wrong) < count / 2:
        return "numbers and text"
    classes = len(different) <= min(MOST_CLASSES, max(len(wrong) / 2, 1))
    if classes and len(wrong) == count:
        listed = ", ".join(sorted(different)[:6]) + (
            ", …" if len(different) > 6 else ""
        )
        return f"the classes {listed}"
    return "text"
