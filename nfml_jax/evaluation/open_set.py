"""O."""

import dataclasses

import numpy as np

from nfml_jax.evaluation.inputs import check_rate


@dataclasses.dataclass(frozen=True)
class OpenSet:
    """Scores, ascending, from which the open-set rates follow at any threshold.

    `non_mated` [S], the best of each non-mated probe; `identified`, those of mated
    probes whose own identity came first, among `mated` of them.
    """

    non_mated: np.ndarray
    identified: np.ndarray
    mated: int

    def rates(self) -> tuple[np.ndarray, np.ndarray]:
        """FPIR and the largest DIR with it [S + 1], from no false alarm to all."""
        missed = np.searchsorted(self.identified, self._beaten, side="right")
        return self._fpir, (len(self.identified) - missed) / self.mated

    def dir_at_fpir(self, fpir: float) -> float:
        """The largest DIR of all thresholds whose FPIR is at most `fpir`.

        Warns when one non-mated probe alone exceeds `fpir`; UserError outside (0, 1].
        """
        return float(self.rates()[1][self._place_of(fpir)])

    def threshold_at_fpir(self, fpir: float) -> float:
        """The least score that `dir_at_fpir` accepts: what a `Gallery` can be given.

        Choose it on other probes than those to judge. Warnings and errors likewise.
        """
        beaten = self._beaten[self._place_of(fpir)]
        return float(np.nextafter(beaten, np.inf)) if beaten > -np.inf else -np.inf

    @property
    def _fpir(self):
        """The FPIR [S + 1] at each threshold, from no false alarm to all."""
        count = len(self.non_mated)
        return (count - np.searchsorted(self.non_mated, self._beaten, "right")) / count

    @property
    def _beaten(self):
        """The score [S + 1] just above which the threshold lies, by false alarms."""
        # In the scores' own precision, in which a gallery compares.
        least = np.full_like(self.non_mated, -np.inf, shape=1)
        return np.concatenate([least, self.non_mated])[::-1]

    def _place_of(self, fpir):
        check_rate(fpir, len(self.non_mated), "DIR at FPIR", "non-mated probes")
        return np.searchsorted(self._fpir, fpir, side="right") - 1
