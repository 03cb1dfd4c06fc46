"""Verification: do two embeddings show the same class? By the cosine of the pair.

A pair of one class is *genuine*, any other is an *impostor*; a pair is accepted when
its score is at least the threshold. FAR is the share of impostors accepted, TAR that of
genuine pairs. Rates are exact: counts at every distinct score, ties included. Scores
may be infinite, and none is NaN.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from nfml_jax.errors import UserError
from nfml_jax.evaluation.arrays import (
    TILE,
    check_digits,
    check_labels,
    check_rate,
    check_scores,
    check_vectors,
    count_rows,
    pair_tiles,
    unit,
)
from nfml_jax.evaluation.pairs import count_fine, share_tied
from nfml_jax.ops.broadcasting import broadcasting

FARS = {"1e-2": 1e-2, "1e-3": 1e-3}
"""The false accept rates at which `metrics` reports the true accept rate."""

CLOSE = 0.99
"""A cosine beyond which float32 rounds 1 − cosine by 1e-5 of itself, or more."""

CROWDED = 256
"""Times 1 / bins: a larger share of tied pairs asks for finer bins."""

FEW = 1000
"""Fewer genuine pairs than these leave a threshold to chance."""


@dataclasses.dataclass(frozen=True)
class Roc:
    """The receiver operating characteristic as counts of accepted pairs.

    `thresholds` [T] fall from +inf, which accepts nothing, to the lowest score, which
    accepts everything; `genuine` and `impostor` [T] count the pairs accepted there.
    """

    thresholds: np.ndarray
    genuine: np.ndarray
    impostor: np.ndarray

    @property
    def far(self) -> np.ndarray:
        """False accept rate (false positive rate) at each threshold."""
        return self.impostor / self.impostor[-1]

    @property
    def tar(self) -> np.ndarray:
        """True accept rate (true positive rate) at each threshold."""
        return self.genuine / self.genuine[-1]

    @property
    def frr(self) -> np.ndarray:
        """False reject rate 1 − TAR at each threshold; over FAR the DET curve."""
        return 1 - self.tar

    @property
    def auc(self) -> float:
        """Area under TAR over FAR: P(genuine > impostor) + ½ P(genuine = impostor)."""
        far, tar = self.far, self.tar
        return float(np.sum(np.diff(far) * (tar[1:] + tar[:-1])) / 2)

    @property
    def eer(self) -> float:
        """Equal error rate: FAR where it equals FRR, on the segment between points.

        Between two thresholds the ROC is taken as the straight line that a random
        choice of the two realises.
        """
        far, excess = self.far, self.frr - self.far
        i = int(np.argmax(excess <= 0))  # never 0: nothing accepted has excess 1
        t = excess[i - 1] / (excess[i - 1] - excess[i])
        return float(far[i - 1] + t * (far[i] - far[i - 1]))

    def tar_at_far(self, far: float) -> float:
        """The largest TAR of all thresholds whose FAR is at most `far`.

        Conservative: never read off between two thresholds. Warns when one impostor
        pair alone exceeds `far`; UserError for one outside (0, 1].
        """
        return float(self.tar[self._place_of(far)])

    def threshold_at_far(self, far: float) -> float:
        """The score from which `tar_at_far` accepts; inf where it accepts none.

        Choose it on other pairs than those to judge. Warnings and errors likewise.
        """
        return float(self.thresholds[self._place_of(far)])

    def _place_of(self, far):
        check_rate(far, self.impostor[-1], "TAR at FAR", "impostor pairs")
        return np.searchsorted(self.far, far, side="right") - 1

    def accuracy_at(self, threshold: float) -> float:
        """Balanced accuracy (TAR + 1 − FAR) / 2 of the decision score ≥ `threshold`.

        Balanced, because all pairs of C equal classes hold C − 1 impostors for one
        genuine pair; with as many of each (LFW) it is the plain accuracy.
        """
        if np.isnan(threshold):
            raise UserError("threshold is NaN; expected a number, or -inf or inf.")
        i = np.searchsorted(-self.thresholds, -threshold, side="right") - 1
        return float(self._accuracies[i])

    def best_threshold(self) -> float:
        """The threshold of the largest balanced accuracy; of equals, the strictest.

        It is halfway between the lowest score it accepts and the next lower one. Where
        nothing is between them, it is the former; between -inf and inf it is 0.
        """
        i = 1 + int(np.argmax(self._accuracies[1:]))
        accepted, *below = self.thresholds[i : i + 2].tolist()
        if not below:
            return accepted
        if accepted == np.inf == -below[0]:
            return 0.0
        middle = (accepted + below[0]) / 2
        return middle if below[0] < middle <= accepted else accepted

    @property
    def _accuracies(self) -> np.ndarray:
        return (self.tar + 1 - self.far) / 2


def _roc_from_counts(scores, genuine, impostor) -> Roc:
    """The Roc of counts [T] at ascending distinct scores [T]."""
    for name, counts in (("genuine", genuine), ("impostor", impostor)):
        if counts.sum() == 0:
            raise UserError(
                f"There is no {name} pair to verify; evaluate on a set with at least "
                "two classes, one of them with at least two examples."
            )
    seen = (genuine + impostor)[::-1] > 0
    return Roc(
        thresholds=np.concatenate([[np.inf], scores[::-1][seen]]),
        genuine=np.concatenate([[0], np.cumsum(genuine[::-1][seen])]),
        impostor=np.concatenate([[0], np.cumsum(impostor[::-1][seen])]),
    )


def roc(genuine_scores, impostor_scores) -> Roc:
    """The exact Roc of given scores, [G] of genuine and [I] of impostor pairs.

    UserError when one of them is empty, holds a NaN or is no numbers.
    """
    genuine_scores = np.ravel(check_scores(genuine_scores))
    impostor_scores = np.ravel(check_scores(impostor_scores))
    scores = np.concatenate([genuine_scores, impostor_scores])
    values, inverse = np.unique(scores, return_inverse=True)
    split = len(genuine_scores)
    count = functools.partial(np.bincount, minlength=len(values))
    return _roc_from_counts(values, count(inverse[:split]), count(inverse[split:]))


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


@dataclasses.dataclass(frozen=True)
class PairHistograms:
    """Counts [bins] of the cosines of genuine and of impostor pairs.

    `edges` [bins + 1] ascend; a bin holds its lower edge. Without them the bins are
    those of equal width over [−1, 1].
    """

    genuine: np.ndarray
    impostor: np.ndarray
    edges: np.ndarray | None = None

    def __post_init__(self):
        if self.edges is None:
            edges = np.linspace(-1, 1, len(self.genuine) + 1)
            object.__setattr__(self, "edges", edges)

    def roc(self) -> Roc:
        """The Roc at the bins' lower edges: exact counts, quantised thresholds."""
        assert self.edges is not None  # `__post_init__` sets them
        return _roc_from_counts(self.edges[:-1], self.genuine, self.impostor)


@functools.partial(jax.jit, static_argnames="bins")
@broadcasting
def _count_tile(rows, columns, bins):
    """Histogram [2 bins]: impostor then genuine pairs, of each row with later columns.

    `rows` and `columns` are `pair_tiles` of unit embeddings and labels.
    """
    (a, a_labels, i), (b, b_labels, j) = rows, columns
    # The full float32 product also where the hardware's default is coarser.
    cosines = jnp.matmul(a, b.T, precision=lax.Precision.HIGHEST)
    # Scaling by a power of two is exact: bin ≥ n exactly if cosine ≥ the edge n.
    bin_ = jnp.floor(cosines * (bins // 2)).astype(jnp.int32) + bins // 2
    bin_ = jnp.clip(bin_, 0, bins - 1)
    bin_ += bins * (a_labels[:, None] == b_labels[None]).astype(jnp.int32)
    counted = (i[:, None] >= 0) & (i[:, None] < j[None])
    # Pairs not counted fall out of range, which mode="drop" passes over.
    bin_ = jnp.where(counted, bin_, 2 * bins)
    return jnp.zeros(2 * bins, jnp.int32).at[bin_].add(1, mode="drop")


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
        counts += np.asarray(_count_tile(*two, bins))
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
