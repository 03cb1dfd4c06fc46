"""What rows of numbers must be to have a density, and what makes one mean little."""

from collections.abc import Iterator, Sequence

import numpy as np

from nfml_jax.errors import UserError

CHECKED_ROWS = 100_000
"""Rows of a large set that its columns are judged by."""
LISTED = 6
"""Columns that a warning names."""


def check_rows(loaded) -> None:
    """UserError for a set without columns or rows, or with NaN or infinity."""
    if loaded.event_dim < 1:
        raise UserError(
            f"{loaded.name} has no columns; a density needs at least one number a row."
        )
    for name, rows in loaded.parts.items():
        if not len(rows):
            raise UserError(f"{loaded.name} has no {name} rows; give it at least one.")
        bad = np.flatnonzero(~np.isfinite(rows).all(axis=1))
        if len(bad):
            raise UserError(
                f"{len(bad)} of the {len(rows)} {name} rows of {loaded.name} hold NaN "
                f"or infinity (the first is row {bad[0]}); take them out, or fill in "
                "what is missing."
            )


def constant_columns(loaded) -> list[str]:
    """Names of the columns with one value in all training rows, but for a class."""
    numbers = loaded.event_dim if loaded.classes else len(loaded.columns)
    x = loaded.train[:, :numbers]
    return [loaded.columns[i] for i in np.flatnonzero(x.min(axis=0) == x.max(axis=0))]


def doubts(loaded, flat: Sequence[str]) -> Iterator[str]:
    """Sentences on columns that a density would put a spike on; `flat` are constant."""
    columns = loaded.columns[: loaded.event_dim]
    flat = [name for name in flat if name in columns]
    rows = loaded.train[:: -(-len(loaded.train) // CHECKED_ROWS)]
    varying = [i for i, name in enumerate(columns) if name not in flat]
    discrete = [
        f"{columns[i]} ({values:,} values)"
        for i in varying
        if (values := _is_discrete(rows[:, i]))
    ]
    repeated = []
    if len(varying) > 1 and len(rows) > 2:
        near = np.abs(np.corrcoef(rows[:, varying], rowvar=False)) > 1 - 1e-6
        repeated = [
            f"{columns[varying[b]]} as {columns[varying[a]]}"
            for a, b in np.argwhere(np.triu(near, 1))
        ]
    kinds = {
        "constant": (flat, "leave them out"),
        "nearly discrete": (discrete, "add noise of the size of their steps"),
        "repeated": (repeated, "leave one of each two out"),
    }
    for kind, (names, remedy) in kinds.items():
        if names:
            listed = ", ".join(names[:LISTED]) + (", …" if len(names) > LISTED else "")
            yield (
                f"{len(names)} of {len(columns)} columns of {loaded.name} are "
                f"{kind}: {listed}; a likelihood of them can grow without bound, so "
                f"{remedy}, and compare results only with others on the same file."
            )


def _is_discrete(column) -> int:
    """The number of values of a column that repeats them often, else 0."""
    values, counts = np.unique(column, return_counts=True)
    few = len(values) < len(column) / 10 or counts.max() > len(column) / 20
    return len(values) if few and len(column) >= 100 else 0
