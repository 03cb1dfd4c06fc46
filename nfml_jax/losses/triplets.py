"""Losses of triplets, in which the negative must be farther than the positive."""

import dataclasses
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from nfml_jax.losses.bounded_memory import at_column, sum_over_positives
from nfml_jax.losses.metrics import METRICS
from nfml_jax.losses.pair_loss import PairLoss, Row
from nfml_jax.ops.checks import check_choice, check_number
from nfml_jax.ops.fields import traced

AVERAGES = ("active", "all")


@dataclasses.dataclass(frozen=True)
class Triplet(PairLoss):
    """[d₊ - d₋ + m]₊, or log(1 + exp(d₊ - d₋)) with `margin` "soft".

    FaceNet (Schroff et al. 2015, 1503.03832), eq. 3, with `metric` "squared". The soft
    margin, and `average` "active" over the triplets with a loss above 0, are Hermans et
    al.'s (2017, 1703.07737). "cosine" takes d = 1 - cos θ.

    >>> from nfml_jax.losses import PairObjective
    >>> x = jnp.array([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0]])
    >>> labels = jnp.array([0, 0, 1])
    >>> objective = PairObjective(Triplet(0.5), num_classes=2)
    >>> round(float(jax.jit(objective.apply)({}, x, labels).loss), 3)
    0.238
    """

    margin: Any = traced(0.2)
    average: str = "active"
    metric: str = "euclidean"
    miner: ClassVar[str] = "semi_hard"
    paper: ClassVar[str] = "Schroff et al. 2015"
    use: ClassVar[str] = (
        "the usual start: only the order of distances matters; needs a miner once "
        "most triplets are satisfied"
    )

    def __post_init__(self):
        super().__post_init__()
        check_choice(self, AVERAGES, average=self.average)
        if not self._soft:
            check_number(self, 0.0, margin=self.margin)

    @property
    def _soft(self) -> bool:
        return isinstance(self.margin, str) and self.margin == "soft"

    def of(self, pairs, miner):
        positive, negative = miner.pairs(
            self.distance(pairs.values), pairs.positive, pairs.negative
        )

        def term(distances, constants, column, number):
            chosen = miner.triplets(distances[0], column, number, *constants)
            near = at_column(distances[0], column)[:, None]
            lost = [jnp.where(chosen, x, 0.0) for x in self.lost(near, distances)]
            return (
                jnp.stack([x.sum(1) for x in lost]),
                jnp.stack([(x > 0.0).sum(1) for x in lost]),
                jnp.sum(chosen, axis=1),
            )

        lost, active, count = sum_over_positives(
            term, self.distances(pairs), (negative, pairs.keys), positive
        )
        weight = active if self.average == "active" else count + 0 * active
        weight = weight.astype(lost.dtype)
        share = active / jnp.maximum(count, 1)
        return Row(lost / jnp.maximum(weight, 1.0), weight, share)

    def distances(self, pairs) -> list[jax.Array]:
        """Return the distances `[A, R]` that `lost` takes, the pairs' first."""
        return [self.distance(pairs.values)]

    def lost(self, near, far) -> list[jax.Array]:
        """Return the terms of the triplets' losses `[A, R]`.

        `near` `[A, 1]` is the distance to the positive, and `far` holds `distances`.
        """
        if self._soft:
            return [jax.nn.softplus(near - far[0])]
        return [jax.nn.relu(near - far[0] + self.margin)]

    def formula(self):
        if self._soft:
            return "log(1 + exp(d₊ - d₋))"
        return f"[d₊ - d₋ + {self.margin:g}]₊"


@dataclasses.dataclass(frozen=True)
class Quadruplet(Triplet):
    """[d₊ - d₋ + m]₊ and [d₊ - d* + m₂]₊, d* between two examples of other classes.

    Chen et al. 2017 (1704.01719), eq. 6: the second term is 0 if distances within a
    class are below those between any two other classes. d* is the distance of the
    triplet's negative to the nearest example of a third class, as in the paper's
    mining. The R² distances of references are stored, also if anchors come in chunks.

    >>> from nfml_jax.losses import PairObjective
    >>> x = jnp.array([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0], [-1.0, 0.0]])
    >>> objective = PairObjective(Quadruplet(), num_classes=3)
    >>> round(float(jax.jit(objective.apply)({}, x, jnp.array([0, 0, 1, 2])).loss), 3)
    0.6
    """

    margin: Any = traced(1.0)
    margin_of_others: Any = traced(0.5)
    metric: str = "squared"
    miner: ClassVar[str] = "all"
    paper: ClassVar[str] = "Chen et al. 2017"
    use: ClassVar[str] = (
        "as `triplet`, where distances within all classes should also be below those "
        "between any two"
    )
    needs: ClassVar[str] = "labels of three classes"

    def __post_init__(self):
        super().__post_init__()
        check_number(self, 0.0, margin=self.margin)
        check_number(self, 0.0, margin_of_others=self.margin_of_others)

    def distances(self, pairs):
        references, labels = pairs.references, pairs.reference_labels
        others = labels[:, None] != labels
        others = others & (labels >= 0)[:, None] & (labels >= 0)
        values = METRICS[self.metric].values(references, references, others)
        distance = jnp.where(others, self.distance(values), jnp.inf)
        # The nearest of another class, and the nearest of any class but those two.
        nearest = jnp.argmin(distance, axis=1)
        third = distance + jnp.where(labels == labels[nearest][:, None], jnp.inf, 0.0)
        first, second = jnp.min(distance, axis=1), jnp.min(third, axis=1)
        of_anchor = pairs.anchor_labels[:, None] == labels[nearest]
        between = jnp.where(of_anchor, second, first)
        return [self.distance(pairs.values), between]

    def lost(self, near, far):
        second = jnp.isfinite(far[1])
        between = jnp.where(second, near - far[1] + self.margin_of_others, 0.0)
        return [jax.nn.relu(near - far[0] + self.margin), jax.nn.relu(between)]

    def formula(self):
        return f"{super().formula()} + [d₊ - d* + {self.margin_of_others:g}]₊"
