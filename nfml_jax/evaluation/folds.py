"""Verification of listed pairs: LFW's folds, pairs by index, and flip averaging.

Huang et al., "Labeled Faces in the Wild", UMass Amherst Technical Report 07-49, 2007:
each tenth of the pairs is evaluated at a threshold chosen on the other nine.
"""

import dataclasses
from collections.abc import Callable

import numpy as np

from nfml_jax.errors import UserError
from nfml_jax.evaluation import verification
from nfml_jax.evaluation.accept_rates import Roc, roc
from nfml_jax.evaluation.inputs import check_digits, check_scores
from nfml_jax.evaluation.tiles import TILE
from nfml_jax.ops.checks import check_integer
from nfml_jax.ops.labels import check_labels


@dataclasses.dataclass(frozen=True)
class Folds:
    """The accuracy `[F]` of each fold at the best threshold `[F]` of the others.

    >>> crossed = Folds(np.array([0.9, 0.8]), np.array([0.5, 0.4]))
    >>> round(crossed.accuracy, 3), round(crossed.accuracy_error, 3)
    (0.85, 0.05)
    """

    accuracies: np.ndarray
    thresholds: np.ndarray

    @property
    def accuracy(self) -> float:
        """The mean accuracy over folds."""
        return float(self.accuracies.mean())

    @property
    def accuracy_error(self) -> float:
        """The standard error of the mean: the folds' standard deviation / √F."""
        return float(self.accuracies.std(ddof=1) / np.sqrt(len(self.accuracies)))


def cross_validate(scores, same, folds=10) -> Folds:
    """Return the accuracy of accepting pairs by a threshold, fold by fold.

    Thresholds are exact: every one between two scores of the other folds is tried
    (`Roc.best_threshold`). Accuracy is balanced between genuine and impostor pairs
    (`Roc.accuracy_at`). With equally many of each, as in LFW, it is the plain accuracy.

    Args:
      scores: scores of pairs `[P]`.
      same: `[P]`, true for pairs of one class.
      folds: the number of equal parts in which pairs are listed, or the fold `[P]` of
        each pair.

    Raises:
      UserError: if lengths differ, a score is NaN, or a fold lacks genuine or impostor
        pairs.

    >>> cross_validate([0.9, 0.1, 0.8, 0.2], [1, 0, 1, 0], folds=2).accuracy
    1.0
    """
    scores, same = _checked(scores, same)
    fold = _fold_of_each(folds, len(scores))
    accuracies, thresholds = [], []
    for f in np.unique(fold):
        here = fold == f
        if same[here].all() or not same[here].any():
            kind = "genuine" if same[here][0] else "impostor"
            raise UserError(
                f"All pairs of fold {f} are {kind} ones; expected both kinds in each."
            )
        others = _roc(scores[~here], same[~here])
        thresholds.append(others.best_threshold())
        accuracies.append(_roc(scores[here], same[here]).accuracy_at(thresholds[-1]))
    return Folds(np.array(accuracies), np.array(thresholds))


def metrics(scores, same, folds=10) -> dict[str, float]:
    """Return the reported metrics of listed pairs.

    They are the numbers of `verification.metrics` over all pairs, but `accuracy` is the
    mean over folds, `accuracy_error` its standard error, and `threshold` the mean
    threshold of the folds. Arguments and errors are those of `cross_validate`.

    >>> scores = np.r_[np.full(100, 0.9), np.linspace(-0.5, 0.5, 1000)]
    >>> found = metrics(scores, np.arange(1100) < 100, folds=np.arange(1100) % 10)
    >>> found["accuracy"], found["eer"]
    (1.0, 0.0)
    """
    crossed = cross_validate(scores, same, folds)
    threshold = float(crossed.thresholds.mean())
    return verification.metrics(_roc(*_checked(scores, same)), threshold) | {
        "accuracy": crossed.accuracy,
        "accuracy_error": crossed.accuracy_error,
        "threshold": threshold,
    }


def index_pair_scores(embeddings, pairs) -> np.ndarray:
    """Return the cosine `[P]` of pairs of rows that are given by index.

    Pairs are looked up a tile at a time.

    Args:
      embeddings: `[N, D]`, of any length.
      pairs: row numbers `[P, 2]`, in [0, N).

    Raises:
      UserError: for another shape, or a row number outside [0, N).

    >>> embeddings = [[1.0, 0.0], [0.8, 0.6], [0.0, 1.0]]
    >>> index_pair_scores(embeddings, [[0, 1], [0, 2]]).round(3)
    array([0.8, 0. ], dtype=float32)
    """
    embeddings = check_digits(embeddings)
    pairs = np.asarray(pairs)
    if pairs.ndim != 2 or pairs.shape[1] != 2 or not len(pairs):
        raise UserError(
            f"pairs have shape {pairs.shape}; expected row numbers [pairs, 2]."
        )
    pairs = check_labels(
        pairs.ravel(), pairs.size, len(embeddings), "rows of pairs"
    ).reshape(-1, 2)
    tiles = [pairs[start : start + TILE] for start in range(0, len(pairs), TILE)]
    return np.concatenate(
        [verification.pair_scores(*embeddings[tile.T]) for tile in tiles]
    )


def flip_averaged(embed: Callable, images) -> np.ndarray:
    """Return the mean `[N, D]` of the embeddings of images and of their mirror images.

    The mean is over embeddings as they are, not over their directions, as in
    insightface.

    Args:
      embed: a function of images `[N, H, W, C]` that returns embeddings `[N, D]`.
      images: `[N, H, W, C]`.

    >>> first_column = lambda images: images[:, :, 0, 0]
    >>> flip_averaged(first_column, np.array([[[[1.0], [3.0]]]]))
    array([[2.]])
    """
    images = np.asarray(images)
    if images.ndim != 4:
        raise UserError(f"images have shape {images.shape}; expected [N, H, W, C].")
    return (np.asarray(embed(images)) + np.asarray(embed(images[:, :, ::-1]))) / 2


def _roc(scores, same) -> Roc:
    """Return the Roc of scores `[P]`, given which pairs are genuine."""
    return roc(scores[same], scores[~same])


def _checked(scores, same):
    """Return scores `[P]` and a boolean array `[P]` of genuine pairs."""
    scores, same = check_scores(scores), np.asarray(same)
    if same.shape == (*scores.shape, 1):
        same = same[:, 0]
    if scores.ndim != 1 or same.shape != scores.shape:
        raise UserError(
            f"scores and same have shapes {scores.shape} and {same.shape}; expected "
            "one of each for every pair."
        )
    if not np.isin(same, (0, 1)).all():
        raise UserError("same has other values; expected true and false, or 1 and 0.")
    return scores, same.astype(bool)


def _fold_of_each(folds, count: int) -> np.ndarray:
    """Return the fold `[count]` of each pair.

    A number of folds divides the pairs in order.
    """
    if np.ndim(folds):
        fold = check_labels(folds, count, name="folds")
        if len(np.unique(fold)) < 2:
            raise UserError(f"All {count} pairs are of one fold; expected two or more.")
        return fold
    check_integer(None, 0, folds=folds)
    if not 2 <= folds <= count or count % folds:
        raise UserError(
            f"{count} pairs don't make {folds} folds of equal size; give the fold of "
            "each pair, or a number from 2 that divides them."
        )
    return np.arange(count) // (count // int(folds))
