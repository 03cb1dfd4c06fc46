"""Retrieval: how early the gallery's rows of a query's own class stand in its ranking.

R-precision and MAP@R are those of Musgrave et al., "A Metric Learning Reality Check",
ECCV 2020. Every measure is a function of the ranks at which relevant rows stand, so
that a ranking is made once for all of them, a few queries at a time.
"""

import dataclasses
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from nfml_jax.errors import UserError
from nfml_jax.evaluation.arrays import (
    check_digits,
    check_labels,
    check_same_dimensions,
)
from nfml_jax.evaluation.neighbours import METRICS
from nfml_jax.evaluation.rankings import THREADS, make_ranking

SCORES = 2**21
"""Similarities that each thread ranks at a time (8 MiB, and twice as much to sort)."""


@dataclasses.dataclass(frozen=True)
class Hits:
    """The ranks of some queries' relevant rows, query by query and best first.

    `query` and `rank` [H]: the query and the rank, from 1, of each relevant row found;
    `relevant` [Q]: how many relevant rows each query has, found or not.
    """

    query: np.ndarray
    rank: np.ndarray
    relevant: np.ndarray

    @property
    def ordinal(self) -> np.ndarray:
        """How many relevant rows [H] stand at or above each one."""
        found = np.bincount(self.query, minlength=len(self.relevant))
        before = np.cumsum(found) - found
        return np.arange(1, len(self.query) + 1) - before[self.query]

    def total(self, values: np.ndarray, k: np.ndarray) -> np.ndarray:
        """The sum [Q] of each query's `values` [H] at ranks up to its `k` [Q]."""
        values = values * (self.rank <= k[self.query])
        return np.bincount(self.query, values, minlength=len(self.relevant))


def recall(hits: Hits, k: np.ndarray) -> np.ndarray:
    """1 for queries with any relevant row among their first k, else 0: Recall@K."""
    return (hits.total(np.ones(len(hits.rank)), k) > 0).astype(float)


def precision(hits: Hits, k: np.ndarray) -> np.ndarray:
    """The share of relevant rows among the first k; with k = R, R-precision."""
    return hits.total(np.ones(len(hits.rank)), k) / k


def average_precision(hits: Hits, k: np.ndarray) -> np.ndarray:
    """Σ of the precisions at relevant rows among the first k, over min(R, k).

    With k = R the term of MAP@R, with all rows that of MAP.
    """
    found = hits.total(hits.ordinal / hits.rank, k)
    return found / np.minimum(hits.relevant, k)


def reciprocal_rank(hits: Hits, k: np.ndarray) -> np.ndarray:
    """1 / the rank of the first relevant row; 0 if it isn't among the first k."""
    return hits.total((hits.ordinal == 1) / hits.rank, k)


def discounted_gain(hits: Hits, k: np.ndarray) -> np.ndarray:
    """Σ 1 / log₂(1 + rank) of relevant rows among the first k, over the ideal: nDCG.

    Järvelin and Kekäläinen, TOIS 2002, with a gain of 1 for each relevant row.
    """
    most = np.minimum(hits.relevant, k)
    ideal = np.cumsum(1 / np.log2(np.arange(2, most.max() + 2)))
    return hits.total(1 / np.log2(1 + hits.rank), k) / ideal[most - 1]


MEASURES = {
    "recall": recall,
    "precision": precision,
    "map": average_precision,
    "mrr": reciprocal_rank,
    "ndcg": discounted_gain,
}
"""Name -> the measure [Q] of each query from its hits among its first k [Q]."""

NAMES = "recall@1", "r_precision", "map@r"
"""What is measured unless told otherwise: the three of Musgrave et al."""


def metrics(
    queries,
    query_labels,
    gallery=None,
    gallery_labels=None,
    *,
    names: Sequence[str] = NAMES,
    metric: str = "cosine",
    scores: int = SCORES,
) -> dict[str, float]:
    """The means over queries of the measures in `names`.

    queries [Q, D], query_labels [Q], gallery [N, D], gallery_labels [N]. Without a
    gallery the queries are searched themselves, each among all the others.

    A name is one of `MEASURES`, over the whole ranking or the first "…@K" of it, or the
    first "…@r", the number R of the query's relevant rows; "r_precision" is
    "precision@r". Of equal similarities the lowest index comes first, as in
    `neighbours.top_k`, whose metrics these are. Queries with no relevant row have no
    rank; the means leave them out, and a warning counts them.

    Similarities are made on the device and ranked on the host (`rankings`), `scores` of
    them at a time in each thread. UserError for an unknown name, K beyond the rows
    searched, no query with a relevant row, or embeddings that are empty, not finite or
    of different dimensions.
    """
    values = per_query(
        queries,
        query_labels,
        gallery,
        gallery_labels,
        names=names,
        metric=metric,
        scores=scores,
    )
    alone = np.isnan(next(iter(values.values())))
    if alone.all():
        raise UserError(
            f"None of the {len(alone)} queries shares its class with a row of the "
            "gallery; check that both are labelled alike."
        )
    if alone.any():
        warnings.warn(
            f"{alone.sum()} of {len(alone)} queries share their class with no row of "
            "the gallery; the means leave them out.",
            stacklevel=2,
        )
    return {name: float(value[~alone].mean()) for name, value in values.items()}


def per_query(
    queries,
    query_labels,
    gallery=None,
    gallery_labels=None,
    *,
    names: Sequence[str] = NAMES,
    metric: str = "cosine",
    scores: int = SCORES,
) -> dict[str, np.ndarray]:
    """As `metrics`, but for each query [Q]; NaN for one without a relevant row."""
    measures = {name: _measure(name) for name in names}
    if not measures:
        raise UserError(f"names are empty; expected some of {', '.join(NAMES)}.")
    if metric not in METRICS:
        raise UserError(f"metric is {metric!r}; expected one of {', '.join(METRICS)}.")
    queries = check_digits(queries, "queries")
    query_labels = check_labels(query_labels, len(queries))
    itself = gallery is None
    if itself:
        gallery, gallery_labels = queries, query_labels
    gallery = check_digits(gallery, "gallery rows")
    gallery_labels = check_labels(gallery_labels, len(gallery))
    check_same_dimensions(queries, gallery, "Queries and gallery")
    rows = len(gallery) - itself
    if not rows:
        raise UserError("There is one row and no other to search; give a gallery.")
    for name, (_, cut) in measures.items():
        if isinstance(cut, int) and not 1 <= cut <= rows:
            raise UserError(f"{name}: K is {cut}; expected 1 to the {rows} searched.")

    relevant = _count(query_labels, gallery_labels) - itself
    most = np.maximum(relevant, 1)  # of 0 nothing can be measured; it is NaN below
    named = {"r": most, None: np.full_like(most, rows)}
    cuts = {
        name: np.full_like(most, cut) if isinstance(cut, int) else named[cut]
        for name, (_, cut) in measures.items()
    }
    depth = max(cut.max() for cut in cuts.values())
    chunk = min(len(queries), max(1, scores // len(gallery)))
    ranking = make_ranking(queries, gallery, depth, metric, itself, chunk)

    def measured(start):
        part = slice(start, start + chunk)
        right = gallery_labels[ranking(start)] == query_labels[part, None]
        query, place = np.divmod(np.flatnonzero(right), depth)
        hits = Hits(query, place + 1, most[part])
        return [measure(hits, cuts[n][part]) for n, (measure, _) in measures.items()]

    with ThreadPoolExecutor(THREADS) as threads:
        values = list(threads.map(measured, range(0, len(queries), chunk)))
    values = np.where(relevant > 0, np.concatenate(values, axis=1), np.nan)
    return dict(zip(measures, values, strict=True))


def _measure(name: str) -> tuple[Callable, int | str | None]:
    """The measure of a name and where it cuts the ranking: K, "r" or None."""
    spelled = "precision@r" if name == "r_precision" else name
    base, at, cut = spelled.partition("@")
    if base not in MEASURES or (at and cut != "r" and not cut.isdecimal()):
        raise UserError(
            f"{name!r} is no retrieval measure; expected one of {', '.join(MEASURES)}, "
            "with @K or @r after it where only the first K or R count."
        )
    return MEASURES[base], (int(cut) if cut.isdecimal() else cut or None)


def _count(query_labels, gallery_labels) -> np.ndarray:
    """How many gallery rows [Q] have each query's label."""
    ordered = np.sort(gallery_labels)
    ends = [np.searchsorted(ordered, query_labels, side) for side in ("left", "right")]
    return ends[1] - ends[0]
