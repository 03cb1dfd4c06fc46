"""Agreement of clusters with classes: NMI, AMI, ARI, purity and pairwise F1.

All are functions of the contingency table, which counts the examples that each cluster
and class share. Clusters and classes are any integers.
"""

from typing import cast

import numpy as np
from scipy import sparse, special

from nfml_jax.errors import UserError
from nfml_jax.evaluation.inputs import check_needed, count_rows
from nfml_jax.evaluation.kmeans import kmeans
from nfml_jax.ops.distances import unit
from nfml_jax.ops.labels import check_labels

MOST_CELLS = 2**24
"""The most cells of a contingency table that is not sparse (128 MiB)."""


def contingency(clusters, labels):
    """Return counts `[K, C]` of examples of each cluster and class that occur.

    It is a numpy array, or a sparse array of SciPy for more than `MOST_CELLS` cells.

    Args:
      clusters: integers `[N]`.
      labels: integers `[N]`.

    Raises:
      UserError: for values that are empty or no integers.

    >>> contingency([5, 5, 9], [0, 1, 1])
    array([[1, 1],
           [0, 1]])
    """
    clusters = check_labels(clusters, count_rows(clusters, "clusters"), name="clusters")
    labels = check_labels(labels, len(clusters))
    if not len(labels):
        raise UserError("clusters are empty; evaluate on at least one example.")
    rows, row = np.unique(clusters, return_inverse=True)
    columns, column = np.unique(labels, return_inverse=True)
    shape = len(rows), len(columns)
    if len(rows) * len(columns) > MOST_CELLS:
        ones = np.ones(len(row), np.int64)
        return sparse.coo_array((ones, (row, column)), shape).tocsr()
    counts = np.bincount(
        row * len(columns) + column, minlength=len(rows) * len(columns)
    )
    return counts.reshape(shape)


def purity(table: np.ndarray) -> float:
    """Return the share of examples of the most frequent class of their cluster.

    `table` is a contingency table `[K, C]`.

    >>> round(purity(contingency([0, 0, 0, 1], [0, 0, 1, 1])), 3)
    0.75
    """
    largest = table.max(axis=1)
    return float(largest.sum() / table.sum())


def pairwise_f1(table: np.ndarray) -> float:
    """Return the F1 of pairs in one cluster as a prediction of pairs of one class.

    `table` is a contingency table `[K, C]`. F1 is 0 if there are no such pairs.

    >>> pairwise_f1(contingency([0, 0, 0, 1], [0, 0, 1, 1]))
    0.4
    """
    both, same_cluster, same_class, _ = _pairs(table)
    return float(2 * both / max(same_cluster + same_class, 1))


def adjusted_rand_index(table: np.ndarray) -> float:
    """Return the agreement on pairs, 0 by chance and 1 at best.

    `table` is a contingency table `[K, C]`. Hubert and Arabie 1985.

    >>> adjusted_rand_index(contingency([0, 0, 1, 1], [3, 3, 2, 2]))
    1.0
    """
    both, same_cluster, same_class, every = _pairs(table)
    expected = same_cluster * same_class / max(every, 1)
    most = (same_cluster + same_class) / 2
    # Both have one cluster, or both have a cluster for each example.
    return float((both - expected) / (most - expected)) if most != expected else 1.0


def normalized_mutual_information(table: np.ndarray) -> float:
    """Return the mutual information divided by the mean of both entropies.

    `table` is a contingency table `[K, C]`. Strehl and Ghosh 2002.

    >>> round(normalized_mutual_information(contingency([0, 0, 0, 1], [0, 0, 1, 1])), 3)
    0.344
    """
    entropy = (_entropy(table.sum(1)) + _entropy(table.sum(0))) / 2
    return float(_mutual_information(table) / entropy) if entropy > 0 else 1.0


def adjusted_mutual_information(table: np.ndarray) -> float:
    """Return the normalized mutual information, adjusted to be 0 by chance.

    `table` is a contingency table `[K, C]`. Vinh et al., JMLR 2010.

    >>> round(adjusted_mutual_information(contingency([0, 0, 1, 1], [0, 1, 0, 1])), 3)
    -0.5
    """
    a, b = table.sum(axis=1), table.sum(axis=0)
    if table.shape == (1, 1) or (table.sum() == len(a) == len(b)):
        return 1.0
    expected = _expected_information(a, b)
    entropy = (_entropy(a) + _entropy(b)) / 2
    gap = entropy - expected
    # If the gap is only rounding, it must not decide the sign.
    gap = np.copysign(max(abs(gap), np.finfo(float).eps), gap)
    return float((_mutual_information(table) - expected) / gap)


MEASURES = {
    "nmi": normalized_mutual_information,
    "ami": adjusted_mutual_information,
    "ari": adjusted_rand_index,
    "purity": purity,
    "f1": pairwise_f1,
}
"""The measures of a contingency table `[K, C]`, by name."""


def compare(clusters, labels) -> dict[str, float]:
    """Return every measure of `MEASURES` for clusters `[N]` and labels `[N]`.

    >>> {name: round(value, 2) for name, value in compare([0, 0, 1], [5, 5, 6]).items()}
    {'nmi': 1.0, 'ami': 1.0, 'ari': 1.0, 'purity': 1.0, 'f1': 1.0}
    """
    table = cast(np.ndarray, contingency(clusters, labels))  # which may be sparse
    return {name: measure(table) for name, measure in MEASURES.items()}


def metrics(embeddings, labels, seed: int = 0) -> dict[str, float]:
    """Return `compare` of labels with k-means clusters of unit embeddings.

    There are as many clusters as classes.

    Args:
      embeddings: `[N, D]`, of any length.
      labels: integers `[N]`.
      seed: the seed of k-means.

    >>> embeddings = np.array([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0], [-0.6, 0.8]])
    >>> metrics(embeddings, [0, 0, 1, 1])["nmi"]
    1.0
    """
    embeddings = check_needed(embeddings)
    labels = check_labels(labels, len(embeddings))
    found = kmeans(unit(embeddings), len(np.unique(labels)), seed)
    return compare(found.clusters, labels)


def _pairs(table):
    """Return the numbers of pairs in both, in one cluster, in one class, and of all."""
    table = table.astype(float)  # squares of counts don't overflow in float64
    parts = _cells(table), table.sum(axis=1), table.sum(axis=0), table.sum()
    return [np.sum(n * (n - 1)) / 2 for n in parts]


def _cells(table):
    """Return the counts of a table, without the zeros if it is sparse."""
    return table.data if sparse.issparse(table) else table


def _entropy(counts):
    """Return the entropy in nats of counts."""
    return float(special.entr(counts / counts.sum()).sum())


def _mutual_information(table):
    """Return the mutual information in nats of a contingency table, at least 0."""
    apart = _entropy(table.sum(axis=1)) + _entropy(table.sum(axis=0))
    return max(apart - _entropy(_cells(table).ravel()), 0.0)


def _expected_information(a, b) -> float:
    """Return the mean mutual information of random tables with row and column sums.

    `a` and `b` are the sums. Each entry n is hypergeometric (Vinh et al.). Clusters of
    equal size share their sum over n.
    """
    total = int(a.sum())
    log_factorial = special.gammaln(np.arange(total + 1) + 1)
    b_sizes, b_counts = np.unique(b, return_counts=True)
    expected = 0.0
    for size, count in zip(*np.unique(a, return_counts=True), strict=True):
        for b_size, b_count in zip(b_sizes, b_counts, strict=True):
            n = np.arange(max(1, size + b_size - total), min(size, b_size) + 1)
            if not len(n):
                continue
            log_choices = (
                log_factorial[[size, b_size, total - size, total - b_size]].sum()
                - log_factorial[total]
                - log_factorial[n]
                - log_factorial[size - n]
                - log_factorial[b_size - n]
                - log_factorial[total - size - b_size + n]
            )
            gain = n / total * np.log(total * n / (size * b_size))
            expected += count * b_count * np.sum(gain * np.exp(log_choices))
    return expected
