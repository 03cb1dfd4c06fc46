"""Score the rows of a table under a trained density: `nfml score RUN TABLE`.

The table is of any kind that runs are trained on, with the same columns in any order.
For each of its rows --output has the log-density in nats and in the table's units; the
percentage of the run's validation rows that are no likelier (of its training rows, if
there are none to validate on); and the rank among the table's rows, 1 for the least
likely. Rows are counted from 0. For a class-conditional flow it is the density of the
mixture of classes, with the most probable class beside it.
"""

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nfml_jax.cli.command import command, make_parser, writing
from nfml_jax.errors import UserError
from nfml_jax.loading import load
from nfml_jax.loading.flows import TrainedFlow
from nfml_jax.tables.cells import is_missing
from nfml_jax.tables.columns import listed
from nfml_jax.tables.reader import read_table
from nfml_jax.tables.table import Table

STRANGEST = 5
"""Rows that are printed."""


@dataclass(frozen=True)
class Given:
    """Rows of a table in the form that a flow takes.

    `rows` float64 `[N, D]` and `context`, or None, are the table's rows `numbers`
    `[N]`; `lacking` gives the reason for each of the other rows. `unused` are further
    columns.
    """

    rows: np.ndarray
    context: np.ndarray | None
    numbers: np.ndarray
    lacking: dict[int, str]
    unused: tuple[str, ...]


@command
def main(arguments=None) -> None:
    """Run the command `nfml score`."""
    parser = make_parser("score", __doc__)
    parser.add_argument("run", type=Path, help="the run directory")
    parser.add_argument("table", type=Path, help=".csv, .parquet, .npy or .npz")
    scores = {"default": Path("scores.csv"), "help": "default: scores.csv"}
    parser.add_argument("--output", type=Path, **scores)
    parser.add_argument(
        "--header",
        default="auto",
        help="yes if a text file's first line has column names, else no",
    )
    options = parser.parse_args(arguments)
    if options.output.resolve() == options.table.resolve():
        raise UserError(
            f"--output is the table {options.table} itself, which would be lost; give "
            "another --output."
        )
    model = load(options.run)
    if not isinstance(model, TrainedFlow):
        raise UserError(
            f"{options.run} holds a {type(model).__name__}, which has no density; give "
            "a run of a flow on a table, such as of configs/nsf.py."
        )
    table = _read(options.table, options.header)
    reference = model.load_rows(jitter="")
    original = reference.original or reference.columns[: reference.event_dim]
    given = _given(model, original, table)
    rows = given.rows if reference.project is None else reference.project(given.rows)
    log_probs = model.log_prob(rows, given.context)
    classes = _classes(model, rows)
    part, known = _of_reference(model, reference)
    percentiles = 100 * np.searchsorted(known, log_probs, side="right") / len(known)
    ranks = 1 + np.searchsorted(np.sort(log_probs), log_probs, side="left")
    with writing(options.output):
        _write(options.output, table, given, log_probs, percentiles, ranks, classes)
    low = (log_probs < np.quantile(known, 0.01)).sum()
    print(
        f"{len(rows):,} rows of {table.file} have log-densities from "
        f"{log_probs.min():.4g} to {log_probs.max():.4g} nats, median "
        f"{np.median(log_probs):.4g}; {low:,} of them ({low / len(rows):.1%}) lie "
        f"below 99 % of the run's {len(known):,} {part} rows."
    )
    order = np.argsort(log_probs, kind="stable")[:STRANGEST]
    words = [
        f"{table.row_in_words(int(given.numbers[i]))} ({log_probs[i]:.4g})"
        for i in order
    ]
    print(f"The strangest are {', '.join(words)}.")
    if given.lacking:
        words = [f"{table.row_in_words(i)} ({w})" for i, w in given.lacking.items()]
        print(f"{len(words):,} rows have no score: {listed(words)}.")
    if given.unused:
        print(f"Columns that the run does not use: {listed(given.unused)}.")
    print(f"Written to {options.output}.")


def _read(path: Path, header: str) -> Table:
    if not path.is_file():
        raise UserError(
            f"there is no table {path}; give a .csv, .parquet or .npy file."
        )
    tables = read_table(path.name, lambda: path.open("rb"), header)
    if len(tables) != 1:
        raise UserError(
            f"{path.name} holds {', '.join(tables)}; give a table of rows only."
        )
    return next(iter(tables.values()))


def _given(model: TrainedFlow, columns, table: Table) -> Given:
    context = model.context.columns if model.context and not model.classes else ()
    places = _match(table, [*columns, *context])
    levels = (
        dict(zip(context, model.context.levels, strict=True))
        if context and model.context and model.context.levels
        else {}
    )
    lacking: dict[int, list[str]] = {}
    values = []
    for place, name in zip(places, [*columns, *context], strict=True):
        if levels.get(name):
            texts = table.texts(place)
            values.append(np.array(texts, object))
            empty = [i for i, text in enumerate(texts) if is_missing(text)]
            unknown = [
                i
                for i, text in enumerate(texts)
                if not is_missing(text) and text not in levels[name]
            ]
            for i in unknown:
                lacking.setdefault(i, []).append(f"{name} is {texts[i]!r}, never seen")
        else:
            (read,) = table.read_numbers([place])
            if len(read.wrong):
                where = table.row_in_words(read.wrong[0])
                raise UserError(
                    f"column {name} of {table.file} holds {read.kind} "
                    f"({read.wrong_values[0]!r} in {where}) where the run was trained "
                    "on numbers; correct it."
                )
            values.append(read.values)
            empty = np.flatnonzero(~np.isfinite(read.values))
        for i in empty:
            lacking.setdefault(int(i), []).append(f"no {name}")
    numbers = np.setdiff1d(np.arange(len(table)), list(lacking))
    if not len(numbers):
        raise UserError(
            f"no row of {table.file} has a value in each of {listed(columns)}; fill in "
            "what is missing."
        )
    kept = [column[numbers] for column in values]
    events = np.stack(kept[: len(columns)], axis=1).astype(np.float64)
    used = set(places)
    return Given(
        events,
        np.stack(kept[len(columns) :], axis=1) if context else None,
        numbers,
        {i: "; ".join(words) for i, words in sorted(lacking.items())},
        tuple(name for i, name in enumerate(table.columns) if i not in used),
    )


def _match(table: Table, names) -> list[int]:
    """Return the indices of a run's columns in a table, by name or else by order."""
    missing = [name for name in names if name not in table.columns]
    if not missing:
        return [table.columns.index(name) for name in names]
    if not table.named and len(table.columns) == len(names):
        return list(range(len(names)))
    raise UserError(
        f"{table.file} has no column {listed(missing)}, which the run was trained on; "
        f"it has {listed(table.columns, 30)}."
    )


def _classes(model: TrainedFlow, rows) -> list[str] | None:
    if not model.classes:
        return None
    return [model.classes[i] for i in model.posterior(rows).argmax(axis=1)]


def _of_reference(model: TrainedFlow, loaded) -> tuple[str, np.ndarray]:
    """Return the part that scores are compared with, and its sorted log-densities."""
    part = "train" if loaded.validation is None else "validation"
    rows = loaded.parts[part]
    context = None
    if loaded.given and not loaded.classes:
        context = rows[:, loaded.event_dim :]
    known = model.log_prob(rows[:, : loaded.event_dim].astype(np.float64), context)
    return {"train": "training"}.get(part, part), np.sort(known)


def _write(path, table, given, log_probs, percentiles, ranks, classes) -> None:
    scores = [
        [f"{a:.6g}", f"{b:.4g}", int(c)]
        for a, b, c in zip(log_probs, percentiles, ranks, strict=True)
    ]
    if classes is not None:
        scores = [[*score, name] for score, name in zip(scores, classes, strict=True)]
    names = ["row", "log_density", "percentile", "rank"]
    names += ["class"] if classes is not None else []
    found = dict(zip(given.numbers.tolist(), scores, strict=True))
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(names)
        for row in range(len(table)):
            writer.writerow([row, *found.get(row, [""] * (len(names) - 1))])
