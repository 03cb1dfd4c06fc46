"""Formats of a table (Markdown, CSV, LaTeX, HTML): one function and one line each."""

import csv
import html
import io
from collections.abc import Callable, Sequence

from nfml_jax.runs.tables import Cell, Table


def markdown(table: Table) -> str:
    """Return the table as Markdown, with the best in bold."""
    rows = [_heads(table), *_texts(table, lambda text: f"**{text}**")]
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    narrow = len(rows[0]) - table.wide
    lines.insert(1, "|---" * table.wide + "|--:" * narrow + "|")
    return "\n".join(lines + (["", table.note] if table.note else []))


def comma_separated(table: Table) -> str:
    """Return plain numbers: the mean, half the interval and the runs of each metric."""
    heads = list(table.words)
    for metric in table.metrics:
        heads += [metric, f"{metric} ±", f"{metric} n", f"{metric} lost"]
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(heads)
    for words, cells in table.rows:
        writer.writerow([*words, *(part for c in cells for part in _numbers(c))])
    return file.getvalue().rstrip("\n")


def _numbers(cell: Cell) -> list:
    lost = cell.lost or (cell.number if cell.mean is None else "")
    return [
        *("" if number is None else repr(number) for number in (cell.mean, cell.half)),
        cell.count,
        lost,
    ]


def latex(table: Table) -> str:
    """Return a LaTeX tabular with booktabs' rules and the best in bold."""
    columns = "l" * table.wide + "r" * (len(_heads(table)) - table.wide)
    rows = _texts(table, lambda text: rf"\textbf{{{text}}}", _escaped)
    lines = [
        rf"\begin{{tabular}}{{{columns}}}",
        r"\toprule",
        " & ".join(map(_escaped, _heads(table))) + r" \\",
        r"\midrule",
        *(" & ".join(row) + r" \\" for row in rows),
        r"\bottomrule",
        r"\end{tabular}",
        *([_escaped(table.note)] if table.note else []),
    ]
    return "\n".join(lines)


SPECIAL = {c: rf"\{c}" for c in "#$%&_{}"} | {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    "–": "--",
    "≈": r"$\approx$",
    "°": r"$^\circ$",
}


def _escaped(text: str) -> str:
    return "".join(SPECIAL.get(character, character) for character in text)


def hypertext(table: Table) -> str:
    """Return an HTML table element with the best in bold."""
    heads = "".join(f"<th>{html.escape(head)}</th>" for head in _heads(table))
    lines = ["<table>", f"<thead><tr>{heads}</tr></thead>", "<tbody>"]
    for row in _texts(table, lambda text: f"<b>{text}</b>", html.escape):
        cells = "".join(
            f"<td>{text}</td>" if i < table.wide else f'<td align="right">{text}</td>'
            for i, text in enumerate(row)
        )
        lines.append(f"<tr>{cells}</tr>")
    note = [f"<p>{html.escape(table.note)}</p>"] if table.note else []
    return "\n".join([*lines, "</tbody>", "</table>", *note])


FORMATS: dict[str, Callable[[Table], str]] = {
    "md": markdown,
    "csv": comma_separated,
    "tex": latex,
    "html": hypertext,
}


def _heads(table: Table) -> list[str]:
    return [*table.words, *table.metrics]


def _texts(
    table: Table, bold: Callable[[str], str], escape: Callable[[str], str] = str
) -> list[Sequence[str]]:
    """Return the rows as text, with the best marked."""
    return [
        [
            *map(escape, words),
            *(bold(escape(c.text)) if c.best else escape(c.text) for c in cells),
        ]
        for words, cells in table.rows
    ]
