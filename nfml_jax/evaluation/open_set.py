"""Open-set identification: the rate of identified probes over the rate of false alarms.

The false positive identification rate (FPIR) is the share of non-mated probes whose
best score over the whole gallery is at least the threshold. It is not a share of all
non-mated scores. The detection and identification rate (DIR) is the share of mated
probes whose own identity has rank 1 and a score of at least the threshold; 1 − DIR is
FNIR at rank 1. These are the rates of the IJB benchmarks (Klare et al., CVPR 2015; Maze
et al., ICB 2018).
"""

import dataclasses

import numpy as np

from nfml_jax.evaluation.inputs import check_rate


@dataclasses.dataclass(frozen=True)
class OpenSet:
    """Ascending scores that determine the open-set rates at any threshold.

    `non_mated` `[S]` is the best score of each non-mated probe. `identified` are the
    scores of mated probes whose own identity came first, among `mated` of them.

    >>> rates = OpenSet(np.array([0.1, 0.6]), np.array([0.5, 0.8]), mated=2)
    >>> rates.dir_at_fpir(0.5), rates.dir_at_fpir(1.0)
    (1.0, 1.0)
    >>> rates.threshold_at_fpir(0.5) > 0.1
    True
    """

    non_mated: np.ndarray
    identified: np.ndarray
    mated: int

    def rates(self) -> tuple[np.ndarray, np.ndarray]:
        """Return FPIR and the largest DIR with it, both `[S + 1]`.

        The first values are those without a false alarm.
        """
        missed = np.searchsorted(self.identified, self._beaten, side="right")
        return self._fpir, (len(self.identified) - missed) / self.mated

    def dir_at_fpir(self, fpir: float) -> float:
        """Return the largest DIR of all thresholds whose FPIR is at most `fpir`.

        A warning says when one non-mated probe alone exceeds `fpir`.

        Raises:
          UserError: for a rate outside (0, 1].
        """
        return float(self.rates()[1][self._place_of(fpir)])

    def threshold_at_fpir(self, fpir: float) -> float:
        """Return the least score that `dir_at_fpir` accepts.

        A `Gallery` takes it as its threshold. Choose it on other probes than those to
        evaluate. Warnings and errors are those of `dir_at_fpir`.
        """
        beaten = self._beaten[self._place_of(fpir)]
        return float(np.nextafter(beaten, np.inf)) if beaten > -np.inf else -np.inf

    @property
    def _fpir(self):
        """The FPIR `[S + 1]` at each threshold, from no false alarm to all."""
        count = len(self.non_mated)
        return (count - np.searchsorted(self.non_mated, self._beaten, "right")) / count

    @property
    def _beaten(self):
        """The score `[S + 1]` just above which each threshold lies.

        They are ordered by the number of false alarms.
        """
        # In the precision of the scores, in which a gallery compares them.
        least = np.full_like(self.non_mated, -np.inf, shape=1)
        return np.concatenate([least, self.non_mated])[::-1]

    def _place_of(self, fpir):
        """Return the index of the last threshold whose FPIR is at most `fpir`."""
        check_rate(fpir, len(self.non_mated), "DIR at FPIR", "non-mated probes")
        return np.searchsorted(self._fpir, fpir, side="right") - 1
