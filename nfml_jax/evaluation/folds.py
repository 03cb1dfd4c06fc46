"""Verification of listed pairs: LFW's folds, index pairs and flip averaging.

Huang et al., "Labeled Faces in the Wild", UMass Amherst Technical Report 07-49, 2007:
each tenth of the pairs is judged at a threshold chosen on the other nine.
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
    """Accuracy [F] of each fold at the threshold [F] that was best on the others."""

    accuracies: np.ndarray
    thresholds: np.ndarray

    @property
    def accuracy(self) -> float:
        """The mean over folds."""
        return float(self.accuracies.mean())

    @property
    def accuracy_error(self) -> float:
        """The standard error of the mean: folds' standard deviation / √F."""
        return float(self.accuracies.std(ddof=1) / np.sqrt(len(self.accuracies)))


def cross_validate(scores, same, folds=10) -> Folds:
    """The accuracy of deciding pairs [P] by a threshold, fold by fold.

    scores [P]; same [P], whether a pair shows one class; folds, the number of equal
    parts in which they are listed, or the fold [P] of each pair as integers.

    Thresholds are exact: every one between two scores of the other folds is tried
    (`Roc.best_threshold`). Accuracy is balanced between genuine and impostor pairs
    (`Roc.accuracy_at`); with as many of each, as in LFW, it is the plain one.
    UserError when lengths differ, a score is NaN, or any fold lacks a kind of pair.
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
    """What is reported of listed pairs: the folds' accuracy, and the Roc of them all.

    As `verification.metrics`, with `accuracy` and `accuracy_error` over folds, and
    their mean `threshold`. Arguments and errors of `cross_validate`.
    """
    crossed = cross_validate(scores, same, folds)
    threshold = float(crossed.thresholds.mean())
    return verification.metrics(_roc(*_checked(scores, same)), threshold) | {
        "accuracy": crossed.accuracy,
        "accuracy_error": crossed.accuracy_error,
        "threshold": threshold,
    }


def index_pair_scores(embeddings, pairs) -> np.ndarray:
    """The cosine [P] of the rows of `embeddings` [N, D] that `pairs` [P, 2] name.

    Pairs are looked up a tile at a time. UserError for a row that isn't there.
    """
    embeddings = check_digits(embeddings)
    pairs = np.asarray(pairs)
    if pairs.ndim != 2 or pairs.shape[1] != 2 or not len(pairs):
        raise UserError(f"pairs have shape {pairs.shape}; expected [pairs, 2] rows.")
    pairs = check_labels(
        pairs.ravel(), pairs.size, len(embeddings), "rows of pairs"
    ).reshape(-1, 2)
    tiles = [pairs[start : start + TILE] for start in range(0, len(pairs), TILE)]
    return np.concatenate(
        [verification.pair_scores(*embeddings[tile.T]) for tile in tiles]
    )


def flip_averaged(embed: Callable, images) -> np.ndarray:
    """The mean [N, D] of the embeddings of `images` [N, H, W, C] and their mirrors.

    `embed` makes embeddings [N, D] of images; the mean is of these as they are, not of
    their directions, as in insightface.
    """
    images = np.asarray(images)
    if images.ndim != 4:
        raise UserError(f"images have shape {images.shape}; expected [N, H, W, C].")
    return (np.asarray(embed(images)) + np.asarray(embed(images[:, :, ::-1]))) / 2


def _roc(scores, same) -> Roc:
    return roc(scores[same], scores[~same])


def _checked(scores, same):
    scores, same = check_scores(scores), np.asarray(same)
    if same.shape == (*scores.shape, 1):
        same = same[:, 0]
    if scores.ndim != 1 or same.shape != scores.shape:
        raise UserError(
            f"scores and same have shapes {scores.shape} and {same.shape}; expected "
            "one of each for every pair."
        )
    if not np.isin(same, (0, 1)).all():
        raise UserError("same holds other values than true and false, or 1 and 0.")
    return scores, same.astype(bool)


def _fold_of_each(folds, count: int) -> np.ndarray:
    """The fold [count] of each pair, in order where `folds` is their number."""
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
