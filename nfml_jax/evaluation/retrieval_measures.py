"""R."""

import dataclasses

import numpy as np


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
