"""Tables of results: a row for each group of runs, or a grid of data sets."""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from nfml_jax.ops.units import format_metric
from nfml_jax.runs.replicates import Group, group, half_width
from nfml_jax.runs.significance import LEVEL, even_with_best

ABSENT = "–"
EVEN = "≈"
EVEN_IN_WORDS = (
    f"{EVEN}: cannot be separated from the best on the same data at {100 * LEVEL:g} % "
    "(Welch's t-test over seeds or folds, each by itself; a single run is not tested)."
)

# The better direction, by words of a metric's last name; other metrics have no best.
HIGHER = {
    *("accuracy", "likelihood", "tar", "auc", "auroc", "recall", "map", "ess"),
    *("ndcg", "nmi", "ami", "ari", "purity", "precision", "rank", "elbo", "fit"),
}
LOWER = {"nll", "kl", "loss", "eer", "error", "bits", "ks", "ece"}
NEITHER = {"se", "classifier", "threshold"}

MOST_METRICS = 6


@dataclass(frozen=True)
class Cell:
    """A mean over runs, as text and as numbers.

    `half` is half the width of the interval, `count` the number of runs; `lost`
    describes the runs without a result.
    """

    mean: float | None = None
    half: float | None = None
    count: int = 0
    lost: str = ""
    number: str = ABSENT  # mean ± half, as text
    best: bool = False
    even: bool = False  # whether it cannot be separated from the best

    @property
    def text(self) -> str:
        lost = f"({self.lost})" if self.lost else ""
        return " ".join(filter(None, [self.number, EVEN if self.even else "", lost]))


@dataclass(frozen=True)
class Table:
    """Rows of labels, followed by cells; `metrics` head the columns of cells."""

    words: Sequence[str]
    metrics: Sequence[str]
    rows: Sequence[tuple[Sequence[str], Sequence[Cell]]]
    wide: int  # number of label columns that are text; the others are numbers

    @property
    def note(self) -> str:
        """The meaning of the signs in the table."""
        even = any(cell.even for _, cells in self.rows for cell in cells)
        return EVEN_IN_WORDS if even else ""


def table(
    records: Sequence[Mapping],
    metrics: Sequence[str],
    digits: int | None = None,
    spread: str = "ci",
) -> Table:
    """Return a row for each group of records, and a column for each metric.

    A cell is the mean over seeds (in a cross-validation, over folds) ± half an
    interval. Config fields that differ have their own columns. The best on its data is
    marked, and so are those that cannot be separated from it.
    """
    groups = group(records)
    fields = list(dict.fromkeys(field for g in groups for field in g.fields))
    columns = [
        _marked(groups, [cell(g, metric, digits, spread) for g in groups], metric)
        for metric in metrics
    ]
    rows = []
    for i, g in enumerate(groups):
        values = [str(g.fields.get(field, ABSENT)) for field in fields]
        words = [g.name, _data(g), *values, _seeds([g])]
        rows.append((words, [column[i] for column in columns]))
    heads = ["run", "data (training / test)", *fields, "seeds"]
    return Table(heads, list(metrics), rows, wide=len(heads) - 1)


def _marked(groups: Sequence[Group], cells: Sequence[Cell], metric: str) -> list[Cell]:
    """Return the cells, with the best of the groups that share data marked."""
    found = {}
    for g, shown in zip(groups, cells, strict=True):
        found.setdefault(g.data, []).append(shown)
    best = {data: _best(members, metric) for data, members in found.items()}
    return [
        replace(c, best=c.mean is not None and c.mean == best[g.data], even=e)
        for g, c, e in zip(groups, cells, _even(groups, metric), strict=True)
    ]


def _even(groups: Sequence[Group], metric: str) -> list[bool]:
    """Return for each group whether it ties with the best on its data."""
    choose, even = better(metric), [False] * len(groups)
    if choose is None:
        return even
    for data in dict.fromkeys(g.data for g in groups):
        here = [i for i, g in enumerate(groups) if g.data == data]
        samples = [groups[i].numbers(metric) for i in here]
        for i, mark in zip(here, even_with_best(samples, choose), strict=True):
            even[i] = mark
    return even


def grid(
    records: Sequence[Mapping],
    metric: str,
    digits: int | None = None,
    spread: str = "ci",
) -> Table:
    """Return a row for each run, a column for each data set, and one metric as cells.

    The best of a column is marked, and so are those that cannot be separated from it.
    """
    groups = {(g.label, g.data): g for g in group(records)}
    labels = dict.fromkeys(label for label, _ in groups)
    data = list(dict.fromkeys(name for _, name in groups))
    even = _even(list(groups.values()), metric)
    cells = {
        key: replace(cell(g, metric, digits, spread), even=mark)
        for (key, g), mark in zip(groups.items(), even, strict=True)
    }
    for name in data:
        best = _best([c for (_, n), c in cells.items() if n == name], metric, least=1)
        for key in [key for key in cells if key[1] == name]:
            mean = cells[key].mean
            cells[key] = replace(cells[key], best=mean is not None and mean == best)
    rows = []
    for label in labels:
        there = [groups[label, name] for name in data if (label, name) in groups]
        shown = [cells.get((label, name), Cell()) for name in data]
        rows.append(([label, _seeds(there)], shown))
    return Table([metric, "seeds"], data, rows, wide=1)


def better(metric: str) -> Callable | None:
    """Return min or max, whichever is better; None if the name doesn't say."""
    words = set(re.split(r"[^a-z]+", metric.split("/")[-1].lower()))
    if words & NEITHER:
        return None
    return min if words & LOWER else max if words & HIGHER else None


def metrics_of(records: Sequence[Mapping]) -> list[str]:
    """Return metrics for a table, those with a known better direction first."""
    names = dict.fromkeys(name for record in records for name in record["metrics"])
    return sorted(names, key=lambda name: better(name) is None)[:MOST_METRICS]


def _best(cells: Sequence[Cell], metric: str, least: int = 2) -> float | None:
    """Return the best mean, or None if fewer than `least` cells have one."""
    means = [c.mean for c in cells if c.mean is not None and math.isfinite(c.mean)]
    choose = better(metric)
    return choose(means) if choose and len(means) >= least else None


def cell(
    members: Group, metric: str, digits: int | None = None, spread: str = "ci"
) -> Cell:
    """Return the mean ± half an interval over runs of one kind, and the lost runs."""
    values, lost = members.numbers(metric), members.lost()
    if not values:
        return Cell(number=", ".join(lost) or ABSENT)
    words = ", ".join(f"{count} {status}" for status, count in lost.items())

    def form(value):
        if digits is not None and math.isfinite(value):
            return f"{value:.{digits}f}"
        return format_metric(metric, value)

    mean, half = float(np.mean(values)), half_width(values, spread)
    number = form(mean)
    if half is not None:
        width = form(half)
        if width == "0" or ("e" in width and "e" not in number):
            width = f"{half:.{len(number.partition('.')[2])}f}"  # rounded like the mean
        number = f"{number} ± {width}"
    return Cell(mean, half, len(values), words, number)


def _data(members: Group) -> str:
    known = [r["data"] for r in members.records if "train" in r["data"]]
    if not known:
        return members.data
    train, test = (_span([d[part] for d in known]) for part in ("train", "test"))
    return f"{known[0]['name']} ({train} / {test})"


def _seeds(groups: Sequence[Group]) -> str:
    """Describe the number of seeds of the groups, and of folds."""
    seeds, folds = (
        _span(n) for n in zip(*((g.seeds, g.folds) for g in groups), strict=True)
    )
    return seeds if folds == "1" else f"{seeds} of {folds} folds"


def _span(counts: Sequence[int]) -> str:
    least, most = min(counts), max(counts)
    return "–".join(f"{n:,}" for n in dict.fromkeys([least, most]))
