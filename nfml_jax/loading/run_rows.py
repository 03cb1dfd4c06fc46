"""The rows of the data that a flow was trained on, read again from their source."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from nfml_jax.data.data_set import digest
from nfml_jax.errors import UserError
from nfml_jax.ops.names import look_up


class Rows(NamedTuple):
    """Rows of a run's data.

    Attributes:
      rows: float64 `[N, D]`, in their original units.
      numbers: `[N]`, the number of each row in its file, counted from 0.
      context: the conditions: numbers `[N, C]`, class numbers `[N]`, or None.
      columns: the names of the rows' numbers.
    """

    rows: np.ndarray
    numbers: np.ndarray
    context: np.ndarray | None
    columns: tuple[str, ...]


def read_rows(data: Mapping | None, expected: str, **options):
    """Return `LoadedVectors`: the rows of a run whose config has the section `data`.

    `expected` is the digest of the rows, or "". `options` replace fields of `data`.

    Raises UserError if the rows are not those of a table, or have changed.
    """
    from nfml_jax.data.vectors.load import load_rows  # reads more than flows need

    if not data or "name" not in data:
        raise UserError(
            "the rows of this run are not those of a table; load them as its "
            "experiment did."
        )
    known = {k: v for k, v in data.items() if k != "standardize"}
    loaded = load_rows(**{**known, **options})
    found = loaded.digest or digest(loaded.parts.values())
    if expected and found != expected:
        raise UserError(
            f"the run was trained on other rows than {loaded.name} from "
            f"{loaded.source} has now; bring those data back, or train again."
        )
    return loaded


def rows_of(loaded, part: str) -> Rows:
    """Return the rows of a part of `LoadedVectors`; UserError for an unknown part."""
    parts = loaded.parts
    if loaded.outside is not None:
        parts["outside"] = loaded.outside
    x = look_up(parts, part, f"part of {loaded.name}:")
    d, context = loaded.event_dim, None
    if loaded.given and part != "outside":
        context = x[:, d:]
        context = context[:, 0].astype(int) if loaded.classes else context
    numbers = loaded.numbers.get(part, np.arange(len(x)))
    return Rows(x[:, :d].astype(np.float64), numbers, context, loaded.columns[:d])
