"""The layout of a table of text: its delimiter, its names, and its first row."""

import csv
import itertools
import re
import warnings
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from nfml_jax.errors import UserError
from nfml_jax.tables.cells import MISSING, is_number
from nfml_jax.tables.columns import different

SAMPLE_LINES = 200
"""Lines that the layout is read from."""
SAMPLE_BYTES = 4_000_000
# The order is that of preference among delimiters that fit equally well.
DELIMITERS = ("\t", ";", "|", ",", " ")
HEADERS = ("auto", "yes", "no")
# A line of numbers is compared with at least five others; three increasing integers or
# eight increasing numbers may be names.
_ENOUGH, _COUNTING, _RISING = 5, 3, 8


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
    has_names = header == "yes" or (header == "auto" and _is_names(name, first, others))
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
        found = _names_in_comment(comment, delimiter, width)
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
        len(names) == width - 1 and _counts_or_names(row[0] for row in rows)
    )
    columns = _names(["", *names] if unnamed_first else names, width)
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
    unnamed_first |= bool(has_names and names[0] in ("", "Unnamed: 0"))
    index = unnamed_first and width > 1 and _counts_or_names(row[0] for row in rows)
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


def _is_names(name: str, first: list[str], others: list[list[str]]) -> bool:
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


def _names_in_comment(comment: str, delimiter: str, width: int) -> list[str]:
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


def _counts_or_names(fields: Iterable[str]) -> bool:
    """Return whether fields number the rows, all different, or are a text for each."""
    fields = list(fields)
    if all(map(_is_integer, fields)):
        return len(set(fields)) == len(fields)
    return len(set(fields)) == len(fields) and not any(map(is_number, fields))


def _names(given: list[str] | None, width: int) -> tuple[str, ...]:
    """Return a different name for each column: the given one, or else its number."""
    given = [*(given or []), *[""] * width][:width]
    return different(name or str(i) for i, name in enumerate(given))
