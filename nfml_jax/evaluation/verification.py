"""V."""

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
"""A cosine beyond which float32 rounds 1 − cosine by 1e-5 of itself, or more."""


CROWDED = 256
"""Times 1 / bins: a larger share of tied pairs asks for finer bins."""


FEW = 1000
"""Fewer genuine pairs than these leave a threshold to chance."""


def has_pairs(labels) -> bool:
    """Whether `labels` [N] make both a genuine and an impostor pair."""
    labels = check_labels(labels, count_rows(labels, "labels"))
    counts = np.unique(labels, return_counts=True)[1]
    return len(counts) > 1 and bool(counts.max() > 1)


def pair_scores(a, b) -> np.ndarray:
    """Return the cosine [N] of each pair of rows of `a` and `b` [N, D].

    Cosines of which most are beyond `CLOSE` have float64's digits: those of float32
    would be alike. UserError when `a` and `b` differ in shape, are empty or not finite.
    """
    a, b = check_digits(a), check_digits(b)
    if a.shape != b.shape:
        raise UserError(
            f"Pairs have shapes {a.shape} and {b.shape}; expected equal ones."
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

    embeddings [N, D], labels [N] integers; `bins` a power of two: the counts are
    exact, the scores quantized to 2 / bins (3e-5 with the default). Where genuine and
    impostor pairs share these bins and finer ones separate them, as where all cosines
    lie close together, the bins follow the cosines found (`pairs.count_fine`). Streams
    tiles of chunk × chunk pairs. UserError for empty or non-finite embeddings.
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
    """The numbers of a Roc: eer, auc, tar@far=…, and accuracy at `threshold`.

    Warns when it holds too few impostor pairs for a FAR. The accuracy is balanced
    between genuine and impostor pairs (`Roc.accuracy_at`).
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
    """Return the threshold of the best balanced accuracy over pairs for training.

    Takes all pairs of at most `max_examples`, drawn without replacement from `seed`. If
    fewer than `FEW` genuine pairs are among these, half of them are drawn from classes
    of two or more examples, class by class. Give it training embeddings: a threshold
    chosen on test pairs flatters the test.
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
    counts = np.unique(labels, return_counts=True)[1].astype(np.int64)
    return int(np.sum(counts * (counts - 1) // 2))


def _with_pairs(labels, count: int, rng) -> np.ndarray:
    """Return `count` row numbers, of which half are of classes with several rows."""
    _, own, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    order = rng.permutation(len(labels))
    # Classes in random order, the rows of one together.
    place = rng.permutation(len(sizes))[own[order]]
    several = order[np.lexsort((place, sizes[own[order]] < 2))]
    paired = several[: min(max(count // 2, 2), int(np.sum(sizes[sizes > 1])))]
    others = order[~np.isin(order, paired)]
    return np.concatenate([paired, others[: count - len(paired)]])
