"""Checks that rows of numbers have a density, and that its values are meaningful."""

from collections.abc import Iterator, Sequence

import numpy as np

from nfml_jax.errors import UserError
from nfml_jax.tables.columns import listed, quoted
from nfml_jax.tables.dependence import dependences
from nfml_jax.tables.scales import center_and_scale, standardized
from nfml_jax.tables.steps import discrete_values, grid_step, is_stepped

CHECKED_ROWS = 100_000
"""The number of rows of a large set that checks of its columns read."""
_FEW = 2000


def check_rows(loaded) -> None:
    """Raise UserError for a set without columns or rows, or with NaN or infinity."""
    if loaded.event_dim < 1:
        raise UserError(
            f"{loaded.name} has no columns; a density needs at least one number a row."
        )
    for name, rows in loaded.parts.items():
        if not len(rows):
            raise UserError(f"{loaded.name} has no {name} rows; give it at least one.")
        bad = ~np.isfinite(rows)
        if not bad.any():
            continue
        where = np.flatnonzero(bad.any(axis=1))
        first = loaded.numbers[name][where[0]] if loaded.numbers else where[0]
        columns = [loaded.columns[i] for i in np.flatnonzero(bad.any(axis=0))]
        raise UserError(
            f"{len(where)} of the {len(rows)} {name} rows of {loaded.name} hold NaN or "
            f"infinity (in {listed(columns)}; the first is row {first}, counted from "
            "0); fill in what is missing, or leave these rows out with "
            f"data.missing=drop, or these columns with data.drop={quoted(columns)}."
        )


def constant_columns(loaded) -> list[str]:
    """Return the names of columns with one value in all training rows.

    Values that differ by rounding only count as one. A column of classes is excepted.
    """
    numbers = loaded.event_dim if loaded.classes else len(loaded.columns)
    low, high = (f(loaded.train[:, :numbers], axis=0) for f in (np.min, np.max))
    with np.errstate(over="ignore"):
        spread = high.astype(np.float64) - low
    rounding = 16 * np.finfo(np.float64).eps * np.maximum(np.abs(low), np.abs(high))
    return [loaded.columns[i] for i in np.flatnonzero(spread <= rounding)]


def check_float32(name: str, columns: Sequence[str], events) -> None:
    """Raise UserError for values of parts `[N, D]` that float32 cannot hold."""
    for part, rows in events.items():
        bad = np.flatnonzero(~np.isfinite(rows).all(axis=0))
        if len(bad):
            names = [columns[i] for i in bad.tolist()]
            raise UserError(
                f"{name} has {part} values too large for float32 in {listed(names)}; "
                "leave data.standardize at True, and take values out that are far from "
                f"all others, or the columns, with data.drop={quoted(names)}."
            )


def alike_in_float32(columns: Sequence[str], exact, rounded) -> list[str]:
    """Return columns in which different values are equal in float32, with counts."""
    few = slice(None, None, max(len(exact) // _FEW, 1))
    found = []
    for i, name in enumerate(columns):
        there, left = (len(np.unique(x[few, i])) for x in (exact, rounded))
        if left < 0.9 * there:
            found.append(f"{name} ({left:,} of {there:,} values left)")
    return found


def doubts(loaded, flat: Sequence[str], merged: Sequence[str] = ()) -> Iterator[str]:
    """Return sentences on columns at which a density would have no bound.

    Args:
      loaded: the set.
      flat: names of its constant columns.
      merged: the columns that float32 leaves few values of.
    """
    columns = loaded.columns[: loaded.event_dim]
    flat = [name for name in flat if name in columns]
    rows = loaded.train[:: -(-len(loaded.train) // CHECKED_ROWS)]
    varying = [i for i, name in enumerate(columns) if name not in flat]
    stepped, spikes = [], []
    for i in varying:
        if values := discrete_values(rows[:, i]):
            words = f"{columns[i]} ({values:,} values"
            if is_stepped(rows[:, i]):
                step = grid_step(rows[:, i])
                stepped.append(words + (f", steps of {step:g})" if step else ")"))
            else:
                spikes.append(f"{columns[i]} ({_most_frequent(rows[:, i])})")
    repeated, determined = _determined(rows, columns, varying)
    kinds = {
        "constant": (flat, f"leave them out, with data.drop={quoted(flat)}"),
        "nearly discrete": (
            stepped,
            "add noise of the size of their steps, with data.jitter=steps",
        ),
        "often of one value": (spikes, "leave them out, or the rows of that value"),
        "repeated": (repeated, "leave one of each two out"),
        "determined by others": (determined, "leave one column of each equation out"),
        "rounded to few values by float32": (
            merged,
            "keep data.standardize, and take out rows that lie far from all others",
        ),
    }
    for kind, (names, remedy) in kinds.items():
        if names:
            yield (
                f"{len(names)} of {len(columns)} columns of {loaded.name} are "
                f"{kind}: {listed(names)}; a likelihood of them can grow without "
                f"bound, so {remedy}, and compare results only with others on the same "
                "file."
            )
    if len(varying) > 1 and len(rows) <= len(varying):
        yield (
            f"{loaded.name} has {len(columns):,} columns and {len(rows):,} training "
            "rows, too few to estimate a density of so many columns; keep "
            "fewer with data.columns, or principal components."
        )


def _most_frequent(column) -> str:
    values, counts = np.unique(column, return_counts=True)
    share = counts.max() / len(column)
    return f"{values[counts.argmax()]:g} in {share:.0%} of the rows"


def _determined(rows, columns, varying) -> tuple[list[str], list[str]]:
    """Return pairs of columns that repeat each other, and equations of several."""
    if len(varying) < 2 or len(rows) < 3:
        return [], []
    most = max(5 * _FEW, 4 * len(varying))
    x = rows[:: -(-len(rows) // most)][:, varying].astype(np.float64)
    x_scaled = standardized(x, *center_and_scale(x))
    near = np.abs(np.corrcoef(x_scaled, rowvar=False)) > 1 - 1e-6
    pairs = np.argwhere(np.triu(near, 1))
    repeated = [f"{columns[varying[b]]} as {columns[varying[a]]}" for a, b in pairs]
    others = np.setdiff1d(np.arange(len(varying)), pairs[:, 1])
    return repeated, dependences(x[:, others], [columns[varying[i]] for i in others])
