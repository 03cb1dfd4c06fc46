"""The layout of a table of text: its delimiter, and where its names and rows begin."""

import csv
import itertools
import re
import warnings
from collections import Counter
from dataclasses import dataclass

from nfml_jax.errors import UserError
from nfml_jax.tables.cells import is_number
from nfml_jax.tables.columns import listed
from nfml_jax.tables.header import (
    are_names,
    column_names,
    counts_or_names,
    names_in_comment,
)

SAMPLE_LINES = 200
"""Lines that the layout is read from."""
SAMPLE_BYTES = 4_000_000
# The order is that of preference among delimiters that fit equally well.
DELIMITERS = ("\t", ";", "|", ",", " ")
HEADERS = ("auto", "yes", "no")


@dataclass(frozen=True)
class Layout:
    """A table of text, read as far as its first row.

    `body` is UTF-8: a line for each row, fields separated by `delimiter`, without blank
    lines and comments. `columns` are the names of all fields, `named` is True if the
    file gives them, and `header_lines` is the number of lines they take that are no
    comment. `index` is set if the first field only counts or names rows.
    """

    columns: tuple[str, ...]
    named: bool
    index: bool
    delimiter: str
    header_lines: int
    body: bytes


def read_layout(name: str, text: bytes, header: str = "auto") -> Layout:
    """Return the layout of a table.

    Args:
      name: the file's, for messages.
      text: UTF-8 with newlines.
      header: "yes" if the first line has the names, "no" if it is a row; "auto"
        decides: a line has names if its text stands over numbers, or if it
        consists of numbers that no row could have.

    Raises:
      UserError: if there are no rows, or a row has another number of fields.
    """
    if header not in HEADERS:
        raise UserError(
            f"header is {header!r}; it must be one of {', '.join(HEADERS)}."
        )
    text, given, comment = _preamble(text)
    lines = _sample(text)
    if not lines:
        raise UserError(f"{name} holds no rows; give a table of text.")
    delimiter = given or _delimiter(lines)
    rows = list(csv.reader(lines, delimiter=delimiter, skipinitialspace=True))
    if delimiter == " ":
        text = _single_spaces(text)
        lines = _sample(text)
        rows = list(csv.reader(lines, delimiter=delimiter))
    rows = [[" ".join(field.split()) for field in row] for row in rows]
    first, *others = rows
    header_lines = 0
    has_names = header == "yes" or (header == "auto" and are_names(name, first, others))
    if has_names:
        reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=True)
        next(reader)
        header_lines = reader.line_num
        text = _after(text, header_lines)
        if not others:
            raise UserError(f"{name} has names of columns and no rows; add the rows.")
        rows = others
    width = len(rows[0])
    if comment and not has_names and header != "no":
        found = names_in_comment(comment, delimiter, width)
        has_names, first = bool(found), found or first
    body = _rows_only(text)
    # Spreadsheets end with rows of delimiters only.
    while body and not body[body.rfind(b"\n") + 1 :].strip(f" {delimiter}".encode()):
        body = body[: max(body.rfind(b"\n"), 0)]
    # A delimiter at the end of each line makes a field that is always empty.
    if (
        width > 1
        and all(len(row) == width and not row[-1] for row in rows)
        and (not has_names or len(first) < width or not first[-1])
    ):
        body = re.sub(re.escape(delimiter).encode() + rb"[ ]*(?=\n|$)", b"", body)
        rows, width = [row[:-1] for row in rows], width - 1
        first = first[:width]
    names = first if has_names else []
    unnamed_first = has_names and (
        len(names) == width - 1 and counts_or_names(row[0] for row in rows)
    )
    columns = column_names(["", *names] if unnamed_first else names, width)
    if has_names and not width - 1 <= len(names) <= width:
        raise UserError(
            f"{name} has {len(names)} names for {width} columns; give each column one, "
            "put quotes around numbers with a decimal comma, or take the line of names "
            "away and set data.header=no."
        )
    if has_names and len(names) < width and not unnamed_first:
        warnings.warn(
            f"{name} has {len(names)} names for {width} columns; the last one is "
            f"called {width - 1}.",
            stacklevel=2,
        )
    if alike := [n for n, c in zip(columns, names or (), strict=False) if n != c and c]:
        warnings.warn(
            f"{name} has columns of the same name; the later ones are called "
            f"{listed(alike)}.",
            stacklevel=2,
        )
    unnamed_first |= bool(has_names and names[0] in ("", "Unnamed: 0"))
    index = unnamed_first and width > 1 and counts_or_names(row[0] for row in rows)
    return Layout(columns, has_names, index, delimiter, header_lines, body)


def _preamble(text: bytes) -> tuple[bytes, str | None, str]:
    """Return the text from its first line of fields, a delimiter, the last comment."""
    delimiter, comment = None, ""
    while text:
        line, _, rest = text.partition(b"\n")
        words = line.decode().strip()
        separator = re.fullmatch(
            r'"?sep=(.)"?', words + (" " if words == "sep=" else "")
        )
        if separator:
            delimiter = separator.group(1)
        elif line.startswith(b"sep=\t"):
            delimiter = "\t"
        elif words.startswith(("#", "%")):
            comment = words
        elif words:
            return text, delimiter, comment
        text = rest
    return text, delimiter, comment


def _sample(text: bytes) -> list[str]:
    """Return the first lines of fields."""
    start = text[:SAMPLE_BYTES]
    if len(text) > SAMPLE_BYTES and b"\n" in start:
        start = start[: start.rindex(b"\n")]
    elif len(text) > SAMPLE_BYTES:
        start = text
    lines = start.decode(errors="ignore").split("\n")
    # Line ends are kept, as a quoted name may continue in the next line.
    lines = (f"{line}\n" for line in lines if _is_row(line))
    return list(itertools.islice(lines, SAMPLE_LINES))


def _is_row(line: str) -> bool:
    return bool(line.strip()) and not line.lstrip().startswith(("#", "%"))


def _rows_only(text: bytes) -> bytes:
    """Return text without blank lines and comments."""
    return re.sub(rb"(?m)^[ \t]*(?:[#%][^\n]*)?(?:\n|\Z)", b"", text)


def _single_spaces(text: bytes) -> bytes:
    """Return lines whose fields are separated by one space, stripped at the ends."""
    text = re.sub(rb"[ \t]+(?:#[^\n]*)?", b" ", text)
    return re.sub(rb"(?m)^ | $", b"", text)


def _after(text: bytes, lines: int) -> bytes:
    """Return the text after `lines` lines of fields; comments don't count."""
    while lines:
        line, _, text = text.partition(b"\n")
        lines -= _is_row(line.decode())
    return text


def _delimiter(lines: list[str]) -> str:
    """Return the delimiter that gives lines equally many fields, mostly numbers."""
    best, delimiter = (0.0, 0), ","
    for candidate in DELIMITERS:
        kept = lines
        if candidate == " ":
            kept = _single_spaces("".join(lines).encode()).decode().split("\n")
            kept = list(filter(None, kept))
        rows = list(csv.reader(kept, delimiter=candidate, skipinitialspace=True))
        # The first line may be names, of which one may be missing or too many.
        data = rows[1:] or rows
        width, count = Counter(map(len, data)).most_common(1)[0]
        if width < 2 or count < 0.6 * len(data):
            continue
        if candidate in " |" and count < len(data):
            continue
        fields = [field for row in data for field in row if field.strip()]
        numbers = sum(is_number(field, comma=candidate != ",") for field in fields)
        # A majority of numbers comes first; a difference of 2 in 100 doesn't matter.
        score = round(10 * numbers / max(len(fields), 1)), int(candidate != " ")
        if score > best:
            best, delimiter = score, candidate
    return delimiter
