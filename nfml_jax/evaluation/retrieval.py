"""Retrieval: ranks of the gallery rows of a query's own class."""

import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from nfml_jax.errors import UserError
from nfml_jax.evaluation.inputs import check_digits, check_same_dimensions
from nfml_jax.evaluation.rankings import THREADS, make_ranking
from nfml_jax.evaluation.retrieval_measures import MEASURES, Hits
from nfml_jax.evaluation.similarities import check_metric
from nfml_jax.ops.labels import check_labels

SCORES = 2**21
"""Similarities that each thread holds at a time: 8 MiB, and 16 MiB to sort them."""


NAMES = "recall@1", "r_precision", "map@r"
"""The default measures, which are those of Musgrave et al. (ECCV 2020)."""


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
    """Return the means over queries of retrieval measures, by name.

    A name is one of `retrieval_measures.MEASURES`, over the whole ranking, its first K
    rows ("recall@10"), or its first R rows ("map@r"), where R is the number of the
    query's relevant rows. "r_precision" is "precision@r". Of equal similarities the
    lowest index comes first, as in `neighbors.top_k`. Queries without a relevant row
    have no rank; the means leave them out, and a warning counts them. Similarities are
    computed on the device and sorted on the host (`rankings`).

    Args:
      queries: `[Q, D]`.
      query_labels: integers `[Q]`.
      gallery: `[N, D]`, or None to search each query among all others.
      gallery_labels: integers `[N]`.
      names: the names of the measures.
      metric: a name in `similarities.SIMILARITIES`.
      scores: the number of similarities that each thread holds at a time.

    Raises:
      UserError: for an unknown name, K beyond the rows searched, no query with a
        relevant row, or embeddings that are empty, not finite or of different
        dimensions.

    >>> embeddings = np.array([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0], [-0.6, 0.8]])
    >>> metrics(embeddings, [0, 0, 1, 1], names=["recall@1", "mrr"])
    {'recall@1': 1.0, 'mrr': 1.0}
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
            "gallery; check that both are labeled alike."
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
    """Return the measures of each query `[Q]`, NaN for one without a relevant row.

    Arguments and errors are those of `metrics`.

    >>> embeddings = np.array([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0], [-0.6, 0.8]])
    >>> per_query(embeddings, [0, 1, 0, 1], names=["mrr"])["mrr"].round(2)
    array([0.5 , 0.33, 0.33, 0.5 ])
    """
    measures = {name: _measure(name) for name in names}
    if not measures:
        raise UserError(f"names are empty; expected some of {', '.join(NAMES)}.")
    check_metric(metric)
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
        raise UserError("queries have one row, and no other to search; give a gallery.")
    for name, (_, cut) in measures.items():
        if isinstance(cut, int) and not 1 <= cut <= rows:
            raise UserError(f"{name}: K is {cut}; expected 1 to the {rows} searched.")

    relevant = _count(query_labels, gallery_labels) - itself
    most = np.maximum(relevant, 1)  # queries without relevant rows become NaN below
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
    """Return the measure of a name, and its cut of the ranking: K, "r" or None."""
    spelled = "precision@r" if name == "r_precision" else name
    base, at, cut = spelled.partition("@")
    if base not in MEASURES or (at and cut != "r" and not cut.isdecimal()):
        raise UserError(
            f"{name!r} is not a retrieval measure; expected one of "
            f"{', '.join(MEASURES)}, followed by @K or @r if only the first K or R "
            "rows count."
        )
    return MEASURES[base], (int(cut) if cut.isdecimal() else cut or None)


def _count(query_labels, gallery_labels) -> np.ndarray:
    """Return the number `[Q]` of gallery rows with each query's label."""
    ordered = np.sort(gallery_labels)
    ends = [np.searchsorted(ordered, query_labels, side) for side in ("left", "right")]
    return ends[1] - ends[0]
