"""False and true accept rates of scored pairs: ROC, DET, EER and TAR at FAR.

A pair of one class is *genuine*, and any other pair is an *impostor*. A pair is
accepted if its score is at least the threshold. The false accept rate (FAR) is the
share of impostor pairs accepted, and the true accept rate (TAR) that of genuine pairs.
Rates are exact: pairs are counted at every distinct score. Scores may be infinite, but
not NaN.
"""

import dataclasses
import functools

import numpy as np

from nfml_jax.errors import UserError
from nfml_jax.evaluation.inputs import check_rate, check_scores


@dataclasses.dataclass(frozen=True)
class Roc:
    """The receiver operating characteristic, as counts of accepted pairs.

    `thresholds` `[T]` fall from +inf, which accepts nothing, to the lowest score, which
    accepts everything. `genuine` and `impostor` `[T]` are the pairs accepted there.
    `roc` makes one from scores.

    >>> curve = roc(genuine_scores=[0.9, 0.6], impostor_scores=[0.7, 0.2])
    >>> curve.thresholds.tolist(), curve.tar.tolist(), curve.far.tolist()
    ([inf, 0.9, 0.7, 0.6, 0.2], [0.0, 0.5, 0.5, 1.0, 1.0], [0.0, 0.0, 0.5, 0.5, 1.0])
    >>> curve.auc, curve.eer
    (0.75, 0.5)
    """

    thresholds: np.ndarray
    genuine: np.ndarray
    impostor: np.ndarray

    @property
    def far(self) -> np.ndarray:
        """The false accept rate (false positive rate) `[T]` at each threshold."""
        return self.impostor / self.impostor[-1]

    @property
    def tar(self) -> np.ndarray:
        """The true accept rate (true positive rate) `[T]` at each threshold."""
        return self.genuine / self.genuine[-1]

    @property
    def frr(self) -> np.ndarray:
        """The false reject rate 1 − TAR `[T]`; over FAR it is the DET curve."""
        return 1 - self.tar

    @property
    def auc(self) -> float:
        """The area under TAR over FAR.

        It is P(genuine > impostor) + ½ P(genuine = impostor).
        """
        far, tar = self.far, self.tar
        return float(np.sum(np.diff(far) * (tar[1:] + tar[:-1])) / 2)

    @property
    def eer(self) -> float:
        """The equal error rate: the FAR at which FAR equals FRR.

        Between two thresholds the ROC is the straight line that a random choice between
        the two realizes.
        """
        far, excess = self.far, self.frr - self.far
        i = int(
            np.argmax(excess <= 0)
        )  # at least 1, because nothing accepted is an excess of 1
        t = excess[i - 1] / (excess[i - 1] - excess[i])
        return float(far[i - 1] + t * (far[i] - far[i - 1]))

    def tar_at_far(self, far: float) -> float:
        """Return the largest TAR of all thresholds whose FAR is at most `far`.

        It is conservative, because it is never interpolated between two thresholds. A
        warning says when a single impostor pair exceeds `far`.

        Raises:
          UserError: for a rate outside (0, 1].
        """
        return float(self.tar[self._place_of(far)])

    def threshold_at_far(self, far: float) -> float:
        """Return the lowest threshold whose FAR is at most `far`.

        It is inf if any score would accept too many impostors. Choose it on other pairs
        than those to evaluate. Warnings and errors are those of `tar_at_far`.
        """
        return float(self.thresholds[self._place_of(far)])

    def _place_of(self, far):
        """Return the index of the last threshold whose FAR is at most `far`."""
        check_rate(far, self.impostor[-1], "TAR at FAR", "impostor pairs")
        return np.searchsorted(self.far, far, side="right") - 1

    def accuracy_at(self, threshold: float) -> float:
        """Return the balanced accuracy of accepting scores from `threshold` on.

        It is (TAR + 1 − FAR) / 2. It is balanced because all pairs of C equal classes
        have C − 1 impostor pairs for each genuine pair. For equally many of both, as in
        LFW, it is the plain accuracy.

        Raises:
          UserError: for a threshold that is NaN.
        """
        if np.isnan(threshold):
            raise UserError("threshold is NaN; expected a number, or -inf or inf.")
        i = np.searchsorted(-self.thresholds, -threshold, side="right") - 1
        return float(self._accuracies[i])

    def best_threshold(self) -> float:
        """Return the threshold of the largest balanced accuracy.

        Of equally good thresholds it is the strictest. It is halfway between the lowest
        score it accepts and the next lower score. If there is no lower score, it is the
        former. Between -inf and inf it is 0.
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
        """The balanced accuracy `[T]` at each threshold."""
        return (self.tar + 1 - self.far) / 2


def roc(genuine_scores, impostor_scores) -> Roc:
    """Return the exact Roc of scores.

    Args:
      genuine_scores: scores of genuine pairs, of any shape.
      impostor_scores: scores of impostor pairs, of any shape.

    Raises:
      UserError: if one of them is empty, contains NaN or is not numeric.

    >>> roc([0.9, 0.6], [0.7, 0.2]).best_threshold()
    0.8
    """
    genuine_scores = np.ravel(check_scores(genuine_scores))
    impostor_scores = np.ravel(check_scores(impostor_scores))
    scores = np.concatenate([genuine_scores, impostor_scores])
    values, inverse = np.unique(scores, return_inverse=True)
    split = len(genuine_scores)
    count = functools.partial(np.bincount, minlength=len(values))
    return roc_from_counts(values, count(inverse[:split]), count(inverse[split:]))


def roc_from_counts(scores, genuine, impostor) -> Roc:
    """Return the Roc of counts of pairs at ascending distinct scores.

    Args:
      scores: distinct scores `[T]`, ascending.
      genuine: counts `[T]` of genuine pairs with each score.
      impostor: counts `[T]` of impostor pairs with each score.

    Raises:
      UserError: if there are no genuine or no impostor pairs.

    >>> counts = np.array([0, 1, 2]), np.array([3, 1, 0])
    >>> roc_from_counts(np.array([0.1, 0.5, 0.9]), *counts).tar_at_far(0.25)
    1.0
    """
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
