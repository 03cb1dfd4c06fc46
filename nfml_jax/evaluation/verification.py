"""Verification of pairs by their cosine: do two embeddings show the same class?

Definitions of genuine and impostor pairs, FAR and TAR are in `accept_rates`.
"""

import numpy as np

from nfml_jax.errors import UserError
from nfml_jax.evaluation.accept_rates import Roc
from nfml_jax.evaluation.inputs import check_digits, check_vectors, count_rows
from nfml_jax.evaluation.pair_histograms import (
    PairHistograms,
    count_fine,
    count_tile,
    share_tied,
)
from nfml_jax.evaluation.tiles import TILE, pair_tiles
from nfml_jax.ops.distances import unit
from nfml_jax.ops.labels import check_labels

FARS = {"1e-2": 1e-2, "1e-3": 1e-3}
"""The false accept rates at which `metrics` reports the true accept rate."""


CLOSE = 0.99
"""The cosine beyond which float32 rounds 1 − cosine by 1e-5 of itself, or more."""


CROWDED = 256
"""The share of tied pairs, in units of 1 / bins, above which finer bins are tried."""


FEW = 1000
"""The number of genuine pairs below which a threshold is left to chance."""


def has_pairs(labels) -> bool:
    """Return whether `labels` `[N]` form both a genuine and an impostor pair.

    >>> has_pairs([0, 0, 1]), has_pairs([0, 1, 2])
    (True, False)
    """
    labels = check_labels(labels, count_rows(labels, "labels"))
    counts = np.unique(labels, return_counts=True)[1]
    return len(counts) > 1 and bool(counts.max() > 1)


def pair_scores(a, b) -> np.ndarray:
    """Return the cosine `[N]` of each row of `a` with the same row of `b`.

    Both are `[N, D]`. If most cosines are beyond `CLOSE`, they are float64, because
    those of float32 would be equal.

    Raises:
      UserError: if `a` and `b` differ in shape, are empty or not finite.

    >>> pair_scores([[1.0, 0.0], [0.0, 2.0]], [[0.6, 0.8], [0.0, 1.0]]).round(3)
    array([0.6, 1. ], dtype=float32)
    """
    a, b = check_digits(a), check_digits(b)
    if a.shape != b.shape:
        raise UserError(
            f"pairs have shapes {a.shape} and {b.shape}; expected equal shapes."
        )
    scores = np.sum(unit(a.astype(np.float32)) * unit(b.astype(np.float32)), axis=1)
    if np.median(scores) > CLOSE:
        a, b = unit(a.astype(np.float64)), unit(b.astype(np.float64))
        squares = np.sum((a - b) ** 2, axis=1)
        return np.sum((a * a + b * b) / 2, axis=1).round() - squares / 2
    return scores


def all_pairs(
    embeddings, labels, bins: int = 2**16, chunk: int = TILE
) -> PairHistograms:
    """Return histograms of the cosine over all N (N − 1) / 2 pairs.

    Counts are exact and scores are quantized to 2 / bins, which is 3e-5 by default. If
    genuine and impostor pairs share many of these bins and finer ones separate them,
    the bins follow the cosines found (`pair_histograms.count_fine`). That is so where
    all cosines lie close together. `chunk`² pairs are held at a time.

    Args:
      embeddings: `[N, D]`, of any length.
      labels: integers `[N]`.
      bins: the number of bins, a power of two.
      chunk: the number of rows and columns of a tile.

    Raises:
      UserError: for embeddings that are empty or not finite, or a wrong number of bins.

    >>> embeddings = np.array([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0], [-0.6, 0.8]])
    >>> all_pairs(embeddings, [0, 0, 1, 1]).roc().eer
    0.0
    """
    if bins < 2 or bins & (bins - 1):
        raise UserError(f"bins is {bins}; expected a power of two, such as 65536.")
    rows = check_vectors(embeddings)
    labels = check_labels(labels, len(rows))
    counts = np.zeros(2 * bins, np.int64)
    for two in pair_tiles(unit(rows), labels, size=chunk):
        counts += np.asarray(count_tile(*two, bins))
    found = PairHistograms(genuine=counts[bins:], impostor=counts[:bins])
    tied = share_tied(found.genuine, found.impostor)
    if tied * bins > CROWDED:
        fine = PairHistograms(*count_fine(embeddings, labels, bins, chunk))
        if share_tied(fine.genuine, fine.impostor) < tied / 2:
            return fine
    return found


def metrics(curve: Roc, threshold: float) -> dict[str, float]:
    """Return the reported metrics of a Roc.

    They are `eer`, `auc`, `tar@far=…` for each of `FARS`, and `accuracy`, the balanced
    accuracy at `threshold` (`Roc.accuracy_at`). A warning says when there are too few
    impostor pairs for a FAR.

    >>> from nfml_jax.evaluation.accept_rates import roc
    >>> found = metrics(roc([0.9, 0.8], np.linspace(-0.5, 0.5, 1000)), threshold=0.6)
    >>> found["eer"], found["tar@far=1e-3"], found["accuracy"]
    (0.0, 1.0, 1.0)
    """
    return {
        "eer": curve.eer,
        "auc": curve.auc,
        **{f"tar@far={name}": curve.tar_at_far(far) for name, far in FARS.items()},
        "accuracy": curve.accuracy_at(threshold),
    }


def choose_threshold(
    embeddings, labels, max_examples: int = 10_000, seed: int = 0, chunk: int = TILE
) -> float:
    """Return the threshold of the best balanced accuracy over training pairs.

    All pairs of at most `max_examples` examples are used, drawn without replacement. If
    fewer than `FEW` genuine pairs are among them, half of the examples are drawn from
    classes of two or more examples, class by class. Give it training embeddings: a
    threshold that is chosen on test pairs flatters the test.

    Args:
      embeddings: `[N, D]`, of any length.
      labels: integers `[N]`.
      max_examples: the number of examples to use, at most.
      seed: the seed of the draw.
      chunk: the number of rows and columns of a tile.

    >>> embeddings = np.array([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0], [-0.6, 0.8]])
    >>> round(choose_threshold(embeddings, [0, 0, 1, 1]), 2)
    0.7
    """
    embeddings = check_digits(embeddings)
    labels = check_labels(labels, len(embeddings))
    if len(labels) > max_examples:
        rng = np.random.default_rng(seed)
        chosen = rng.choice(len(labels), max_examples, replace=False)
        if _genuine_pairs(labels[chosen]) < min(FEW, _genuine_pairs(labels)):
            chosen = _with_pairs(labels, max_examples, rng)
        embeddings, labels = embeddings[chosen], labels[chosen]
    return all_pairs(embeddings, labels, chunk=chunk).roc().best_threshold()


def _genuine_pairs(labels) -> int:
    """Return the number of genuine pairs of labels `[N]`."""
    counts = np.unique(labels, return_counts=True)[1].astype(np.int64)
    return int(np.sum(counts * (counts - 1) // 2))


def _with_pairs(labels, count: int, rng) -> np.ndarray:
    """Return `count` row numbers, half of which belong to classes with several rows."""
    _, own, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    order = rng.permutation(len(labels))
    # Classes are in random order, and the rows of a class together.
    place = rng.permutation(len(sizes))[own[order]]
    several = order[np.lexsort((place, sizes[own[order]] < 2))]
    paired = several[: min(max(count // 2, 2), int(np.sum(sizes[sizes > 1])))]
    others = order[~np.isin(order, paired)]
    return np.concatenate([paired, others[: count - len(paired)]])
