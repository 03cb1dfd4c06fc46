"""Miners: which pairs and triplets of a batch take part, as masks, never as lists."""

import dataclasses
from typing import ClassVar

import jax


@dataclasses.dataclass(frozen=True)
class Miner:
    """All pairs and triplets.

    A miner narrows the masks [A, R] of positives and negatives once for each anchor
    (`pairs`), and the negatives once more for each of its positives (`negatives`).
    """

    random: ClassVar[bool] = False

    def pairs(
        self, distance, positive, negative, keys=None
    ) -> tuple[jax.Array, jax.Array]:
        """The masks [A, R] that remain, given distances [A, R]."""
        return positive, negative


MINERS = {"all": Miner}
