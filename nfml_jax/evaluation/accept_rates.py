"""Roc."""

import dataclasses
import functools

import numpy as np

from nfml_jax.errors import UserError
from nfml_jax.evaluation.inputs import check_rate, check_scores


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
        choice of the two realizes.
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
    return roc_from_counts(values, count(inverse[:split]), count(inverse[split:]))


def roc_from_counts(scores, genuine, impostor) -> Roc:
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
