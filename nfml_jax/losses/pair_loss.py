"""Losses of pairs: what an anchor loses by where its positives and negatives lie.

A pair loss is a frozen dataclass of its numbers around one pure function of a block of
anchors against references; `PairObjective` drives any of them. Positives are other
examples of the anchor's class (or other views of its image), negatives examples of
other classes.
"""

import dataclasses
from typing import ClassVar, NamedTuple

import jax
from flax import struct

from nfml_jax.losses.metrics import METRICS
from nfml_jax.ops.checks import check_choice


class Row(NamedTuple):
    """What each anchor loses; all [A], or [T, A] for a loss of T terms.

    `weight` is how much the anchor counts, 0 where there is nothing to learn from: the
    loss of a batch is Σ weight·loss / Σ weight over all anchors on all devices, for
    each term by itself, and the sum of the terms. `active` in [0, 1] is the share of
    the anchor's pairs or triplets that still move; None is where the loss is above 0.
    """

    loss: jax.Array
    weight: jax.Array
    active: jax.Array | None = None


@struct.dataclass
class Pairs:
    """A block of anchors [A, D] with labels [A] against references [R, D] with theirs.

    `values` [A, R] are the loss's metric of the two; `positive` and `negative` [A, R]
    say which pairs are of one class and of two: neither for an anchor with itself, and
    where a label is negative. `keys` [A] are the anchors' own, if the miner draws.
    """

    values: jax.Array
    positive: jax.Array
    negative: jax.Array
    anchors: jax.Array
    references: jax.Array
    anchor_labels: jax.Array
    reference_labels: jax.Array
    keys: jax.Array | None = None


@dataclasses.dataclass(frozen=True)
class PairLoss:
    """What all pair losses share.

    `metric` names an entry of `METRICS`; a loss that has a choice makes it a field.
    `normalise` says whether it was published for unit vectors, `miner` names the miner
    of `MINERS` it was published with; `paper` and `needs` are for the table of losses.
    """

    metric: ClassVar[str] = "cosine"
    normalise: ClassVar[bool] = True
    miner: ClassVar[str] = "all"
    paper: ClassVar[str]
    needs: ClassVar[str] = "labels"

    def __post_init__(self):
        check_choice(self, METRICS, metric=self.metric)

    def parameters(self, num_classes: int) -> dict[str, jax.Array]:
        """Learned numbers by name, as they start: [] shared, or [C] one for each class.

        `rows` gets them by name: those by class as [A], each anchor's own.
        """
        return {}

    def rows(self, values, positive, negative, **parameters) -> Row:
        """What anchors lose, given values [A, R] and masks [A, R] of their pairs.

        Finite, with a finite gradient, whatever the masks.
        """
        raise NotImplementedError

    def of(self, pairs: Pairs, miner, **parameters) -> Row:
        """`rows` of the pairs that the miner leaves.

        Losses of triplets, or of more than the matrix of values, replace this one.
        """
        distance = self.distance(pairs.values)
        masks = miner.union(distance, pairs.positive, pairs.negative, pairs.keys)
        return self.rows(pairs.values, *masks, **parameters)

    def distance(self, values: jax.Array) -> jax.Array:
        """Values as distances: 1 - cos θ, minus the inner product, or as they are."""
        return METRICS[self.metric].distance(values)

    def formula(self) -> str:
        """An anchor's loss as a person writes it, with this loss's numbers in it."""
        raise NotImplementedError
