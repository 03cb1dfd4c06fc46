"""Clusters of an embedding beside its classes: NMI, AMI, ARI, purity, pairwise F1.

All are functions of the contingency table, how many examples each cluster and class
share. Clusters are numbered as they like; labels are any integers.
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
"""Cells of a contingency table that are held with their zeros (128 MiB)."""


def contingency(clusters, labels):
    """Return counts [K, C] of examples in each cluster that occurs and of each class.

    It is a numpy array, or of more than `MOST_CELLS` cells a sparse array of SciPy.
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
    """The share of examples whose class is the most frequent one of their cluster."""
    largest = table.max(axis=1)
    return float(largest.sum() / table.sum())


def pairwise_f1(table: np.ndarray) -> float:
    """F1 of calling two examples one class when they are in one cluster; 0 / 0 is 0."""
    both, same_cluster, same_class, _ = _pairs(table)
    return float(2 * both / max(same_cluster + same_class, 1))


def adjusted_rand_index(table: np.ndarray) -> float:
    """Agreement on pairs, 0 by chance and 1 at best (Hubert and Arabie 1985)."""
    both, same_cluster, same_class, every = _pairs(table)
    expected = same_cluster * same_class / max(every, 1)
    most = (same_cluster + same_class) / 2
    # Both say the same of all pairs: one cluster each, or all examples alone.
    return float((both - expected) / (most - expected)) if most != expected else 1.0


def normalized_mutual_information(table: np.ndarray) -> float:
    """Mutual information over the mean of both entropies (Strehl and Ghosh 2002)."""
    entropy = (_entropy(table.sum(1)) + _entropy(table.sum(0))) / 2
    return float(_mutual_information(table) / entropy) if entropy > 0 else 1.0


def adjusted_mutual_information(table: np.ndarray) -> float:
    """NMI less what chance gives, which is 0 then (Vinh et al., JMLR 2010)."""
    a, b = table.sum(axis=1), table.sum(axis=0)
    if table.shape == (1, 1) or (table.sum() == len(a) == len(b)):
        return 1.0
    expected = _expected_information(a, b)
    entropy = (_entropy(a) + _entropy(b)) / 2
    gap = entropy - expected
    # Where nothing is left to explain, rounding must not decide the sign.
    gap = np.copysign(max(abs(gap), np.finfo(float).eps), gap)
    return float((_mutual_information(table) - expected) / gap)


MEASURES = {
    "nmi": normalized_mutual_information,
    "ami": adjusted_mutual_information,
    "ari": adjusted_rand_index,
    "purity": purity,
    "f1": pairwise_f1,
}
"""Name -> the measure of a contingency table [K, C]."""


def compare(clusters, labels) -> dict[str, float]:
    """Every measure of `MEASURES` for clusters [N] beside labels [N]."""
    table = cast(np.ndarray, contingency(clusters, labels))  # or a sparse one
    return {name: measure(table) for name, measure in MEASURES.items()}


def metrics(embeddings, labels, seed: int = 0) -> dict[str, float]:
    """`compare` of labels [N] and k-means of unit embeddings [N, D], k = classes."""
    embeddings = check_needed(embeddings)
    labels = check_labels(labels, len(embeddings))
    found = kmeans(unit(embeddings), len(np.unique(labels)), seed)
    return compare(found.clusters, labels)


def _pairs(table):
    """Pairs of one cluster and class, of one cluster, of one class, and all of them."""
    table = table.astype(float)  # squares of counts overflow no double
    parts = _cells(table), table.sum(axis=1), table.sum(axis=0), table.sum()
    return [np.sum(n * (n - 1)) / 2 for n in parts]


def _cells(table):
    """Return the counts of a table, without the zeros if it is sparse."""
    return table.data if sparse.issparse(table) else table


def _entropy(counts):
    return float(special.entr(counts / counts.sum()).sum())


def _mutual_information(table):
    apart = _entropy(table.sum(axis=1)) + _entropy(table.sum(axis=0))
    return max(apart - _entropy(_cells(table).ravel()), 0.0)


def _expected_information(a, b) -> float:
    """The mean mutual information of random tables with row and column sums a, b.

    Each entry n is hypergeometric (Vinh et al.); clusters of one size share
    their sum over n.
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
