"""Measures of a ranking, computed from the ranks of its relevant rows.

A gallery row is relevant to a query of the same class, and R is their number.
R-precision and MAP@R are those of Musgrave et al., "A Metric Learning Reality Check",
ECCV 2020. A ranking is made once for all measures.
"""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Hits:
    """The ranks of relevant rows of some queries, query by query and best first.

    `query` and `rank` `[H]` are the query and the rank, from 1, of each relevant row
    found. `relevant` `[Q]` is the number of relevant rows of each query, found or not.

    >>> hits = Hits(np.array([0, 0, 1]), np.array([1, 3, 2]), np.array([2, 1]))
    >>> recall(hits, np.array([1, 1]))
    array([1., 0.])
    >>> average_precision(hits, np.array([3, 3])).round(3)
    array([0.833, 0.5  ])
    """

    query: np.ndarray
    rank: np.ndarray
    relevant: np.ndarray

    @property
    def ordinal(self) -> np.ndarray:
        """The number `[H]` of relevant rows at or above each one."""
        found = np.bincount(self.query, minlength=len(self.relevant))
        before = np.cumsum(found) - found
        return np.arange(1, len(self.query) + 1) - before[self.query]

    def total(self, values: np.ndarray, k: np.ndarray) -> np.ndarray:
        """Return the sums `[Q]` of queries' `values` `[H]` at ranks up to `k` `[Q]`."""
        values = values * (self.rank <= k[self.query])
        return np.bincount(self.query, values, minlength=len(self.relevant))


def recall(hits: Hits, k: np.ndarray) -> np.ndarray:
    """Return 1 for queries with a relevant row among the first k, else 0: Recall@K."""
    return (hits.total(np.ones(len(hits.rank)), k) > 0).astype(float)


def precision(hits: Hits, k: np.ndarray) -> np.ndarray:
    """Return the share of relevant rows among the first k; with k = R, R-precision."""
    return hits.total(np.ones(len(hits.rank)), k) / k


def average_precision(hits: Hits, k: np.ndarray) -> np.ndarray:
    """Return Σ of the precisions at relevant rows among the first k, over min(R, k).

    Its mean over queries is MAP@R if k = R, and MAP if k is the number of all rows.
    """
    found = hits.total(hits.ordinal / hits.rank, k)
    return found / np.minimum(hits.relevant, k)


def reciprocal_rank(hits: Hits, k: np.ndarray) -> np.ndarray:
    """Return 1 / the rank of the first relevant row, or 0 if that is beyond k."""
    return hits.total((hits.ordinal == 1) / hits.rank, k)


def discounted_gain(hits: Hits, k: np.ndarray) -> np.ndarray:
    """Return the normalized discounted cumulative gain (nDCG) of the first k rows.

    It is Σ 1 / log₂(1 + rank) of relevant rows, divided by that of an ideal ranking.
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
"""The measures by name: functions of `Hits` and the depths k `[Q]`, giving `[Q]`."""
