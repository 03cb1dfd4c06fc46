"""Figures of several runs: metrics against what was varied, and as they learned."""

import math
from collections.abc import Mapping, Sequence
from numbers import Real
from pathlib import Path

from matplotlib.figure import Figure

from nfml_jax.errors import UserError
from nfml_jax.plots.sweeps import Series, sweep_curves
from nfml_jax.runs.replicates import Group, group, half_width
from nfml_jax.runs.run_files import read_config
from nfml_jax.runs.writers import METRICS_FILE, read_metrics

MOST_PANELS = 4


def curves(
    records: Sequence[Mapping], metrics: Sequence[str], spread: str = "ci"
) -> dict[str, Figure]:
    """Return a figure for each swept number, by its field; other fields make lines.

    Runs that diverged, failed or were pruned are crosses at the bottom.
    """
    groups = group(records)
    fields = dict.fromkeys(field for g in groups for field in g.fields)
    swept = [field for field in fields if len(_numbers(groups, field)) > 1]
    figures = {}
    for field in swept:
        panels = {m: _lines(groups, field, m, spread) for m in metrics}
        drawn = {m: lines for m, lines in panels.items() if lines}
        if drawn:
            figures[field] = sweep_curves(dict([*drawn.items()][:MOST_PANELS]), field)
    return figures


def learning(runs: Sequence[Path], metric: str) -> Figure:
    """Return the figure of a logged metric of several runs, as their training went on.

    The axis is the share of each run's logged steps, so that runs of one budget but of
    different steps are compared at the same point of it.

    Raises:
      UserError: a folder is no run directory, or has not logged the metric.
    """
    lines: dict[str, Series] = {}
    for run in runs:
        config = read_config(run)
        if config is None:
            raise UserError(f"{run} is no run directory; give folders with a log.")
        logged = read_metrics(run / METRICS_FILE)
        points = [(row["step"], row[metric]) for row in logged if metric in row]
        if not points:
            raise UserError(f"{run} has not logged {metric!r}; choose another metric.")
        last = max(row["step"] for row in logged)
        steps, values = zip(*points, strict=True)
        shares = [step / last for step in steps]
        name = config["name"] if config["name"] not in lines else str(run)
        lines[name] = Series(shares, values, [0.0] * len(values))
    return sweep_curves({metric: lines}, "share of the training")


def _numbers(groups: Sequence[Group], field: str) -> set[float]:
    """Return the numbers of a field, or none if it isn't a number in every group."""
    values = [g.fields[field] for g in groups if field in g.fields]
    if any(isinstance(v, bool) for v in values):
        return set()
    try:  # a head's scale is written "30"
        return {float(v) for v in values if isinstance(v, Real | str)}
    except ValueError:
        return set()


def _lines(groups, field, metric, spread) -> dict[str, Series]:
    """Return the metric against the field, a series for each setting of the others."""
    members: dict[str, list[Group]] = {}
    names = {(g.name, g.data) for g in groups}
    for g in groups:
        if field in g.fields:
            rest = {f: v for f, v in g.fields.items() if f != field}
            words = [f"{f.split('.')[-1]} {v}" for f, v in rest.items()]
            words = [g.name, g.data, *words] if len(names) > 1 else words
            members.setdefault(", ".join(words), []).append(g)
    lines = {
        name: _series(found, field, metric, spread) for name, found in members.items()
    }
    return lines if any(len(line.x) for line in lines.values()) else {}


def _series(members, field, metric, spread) -> Series:
    points, lost = [], []
    for g in members:
        x, values = float(g.fields[field]), g.numbers(metric)
        mean = sum(values) / len(values) if values else math.nan
        if math.isfinite(mean):
            points.append((x, mean, half_width(values, spread) or 0.0))
        else:
            lost.append(x)
    x, y, half = zip(*sorted(points), strict=True) if points else ((), (), ())
    return Series(x, y, half, lost)
