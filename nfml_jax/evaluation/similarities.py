"""Cosines and Euclidean distances as inner products of rows that keep their digits.

A search multiplies matrices of queries and gallery. `SIMILARITIES` prepares both such
that the products rank like the similarities. Products of rows that lie close together
cancel, so `from_differences` computes those similarities again from differences.
"""

import dataclasses
from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
from jax import lax

from nfml_jax.errors import UserError
from nfml_jax.evaluation.inputs import without_common_part
from nfml_jax.ops.distances import CANCELLED, pair_lengths, unit


@dataclasses.dataclass(frozen=True)
class Compared:
    """Queries and a gallery whose inner products rank like their similarities.

    `queries` `[Q, E]` and `gallery` `[N, E]` are float32. If `squared`, scores are
    minus squared distances, a query q is the row (2 q, −‖q‖², 1), and a gallery vector
    g is the row (g, 1, −‖g‖²). The similarity is `offset` + `unit` · score.
    """

    queries: np.ndarray
    gallery: np.ndarray
    squared: bool = False
    offset: float = 0.0
    unit: float = 1.0

    def similarity(self, scores: np.ndarray) -> np.ndarray:
        """Return the similarities of scores, in float64 unless the unit is 1."""
        if self.unit == 1:
            return scores
        return self.offset + self.unit * scores.astype(np.float64)


CLOSE = 1e-3
"""The mean of 1 − cosine below which float32 loses the order of cosines."""


def are_close(directions: np.ndarray) -> bool:
    """Return whether the cosines of unit vectors `[N, D]` are mostly too near to 1.

    The mean of 1 − cosine is then below `CLOSE`.
    """
    directions = directions[directions.any(axis=1)]
    mean = directions.mean(axis=0, dtype=np.float64) if len(directions) else 0.0
    return bool(1 - np.sum(mean * mean) < CLOSE)


def _cosine(queries, gallery) -> Compared:
    """Return queries and gallery prepared for the cosine."""
    q, g = (unit(x.astype(np.float32)) for x in (queries, gallery))
    if not are_close(g):
        return Compared(q, g)
    # ‖q − g‖² / 2 is 1 − cosine, but 1/2 if one vector is zero, where the cosine is 0.
    q, g = (unit(x.astype(np.float64)) for x in (queries, gallery))
    if not (q.any(axis=1).all() and g.any(axis=1).all()):
        return Compared(q.astype(np.float32), g.astype(np.float32))
    found = _squared(q - np.median(g, axis=0), g - np.median(g, axis=0))
    return dataclasses.replace(found, offset=1.0, unit=found.unit / 2)


def _euclidean(queries, gallery) -> Compared:
    """Return queries and gallery prepared for minus the squared distance."""
    queries, gallery = without_common_part(queries, gallery)
    q, g = queries.astype(np.float32), gallery.astype(np.float32)
    with np.errstate(over="ignore"):
        mean = g.mean(axis=0)
    if not np.isfinite(mean).all():
        mean = g.mean(axis=0, dtype=np.float64).astype(np.float32)
    return _squared(q - mean, g - mean)


def _squared(q, g) -> Compared:
    """Return rows whose inner products are −‖q − g‖² = 2 q·g − ‖q‖² − ‖g‖²."""
    scale = 1.0
    size = max(np.abs(q).max(), np.abs(g).max())
    if size > 0 and not 1e-9 < size < 1e9:
        # Squares would overflow or vanish. Division by a power of two is exact.
        scale = float(2.0 ** np.floor(np.log2(size)))
        q, g = q / scale, g / scale
    q, g = q.astype(np.float32), g.astype(np.float32)
    squares = [np.sum(x * x, axis=1, keepdims=True) for x in (q, g)]
    one = [np.ones_like(square) for square in squares]
    return Compared(
        np.hstack([2 * q, -squares[0], one[0]]),
        np.hstack([g, one[1], -squares[1]]),
        squared=True,
        unit=scale**2,
    )


SIMILARITIES = {"cosine": _cosine, "euclidean": _euclidean}
"""Functions of checked queries and gallery that return `Compared`, by name."""


def check_metric(metric: str) -> None:
    """Raise UserError for a metric that is not in `SIMILARITIES`."""
    if metric not in SIMILARITIES:
        raise UserError(
            f"metric is {metric!r}; expected one of {', '.join(SIMILARITIES)}."
        )


def have_cancelled(scores, query_squares, gallery_squares):
    """Return a mask of the scores `[Q, N]` that are mostly rounding.

    Scores are minus squared distances. They are rounding if they are small beside the
    squares ‖q‖² `[Q]` and ‖g‖² `[N]` that they are computed from.
    """
    unit = float(jnp.finfo(scores.dtype).eps)
    total = query_squares[:, None] + gallery_squares[None]
    return -scores <= CANCELLED * unit * total


def from_differences(scores, wanted, rows: Callable):
    """Return scores `[Q, N]`, recomputed from differences of rows where `wanted`.

    `rows` is a function that returns queries `[Q, D]` and gallery `[N, D]`. It runs
    only if any score is wanted.
    """
    apart = lax.cond(
        jnp.any(wanted), lambda: pair_lengths(*rows()), lambda: jnp.zeros_like(scores)
    )
    return jnp.where(wanted, -apart * apart, scores)
