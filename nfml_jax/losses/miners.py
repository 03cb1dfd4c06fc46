"""Miners: which pairs and triplets of a batch take part, as masks, never as lists.

A miner sees distances, whatever the loss's metric. It narrows the positives and
negatives of each anchor once (`pairs`), and the negatives once more for each of the
anchor's positives (`negatives`). Losses of triplets ask for both; losses of pairs get
the pairs that are part of some triplet (`union`).
"""

import dataclasses
from typing import ClassVar

import jax
import jax.numpy as jnp

from nfml_jax.errors import UserError
from nfml_jax.losses.metrics import METRICS
from nfml_jax.losses.pair_loss import check_number
from nfml_jax.losses.positives import at_column, over_positives


@dataclasses.dataclass(frozen=True)
class Miner:
    """All pairs and all triplets."""

    # Whether `negatives` narrows, and whether it draws.
    by_positive: ClassVar[bool] = False
    random: ClassVar[bool] = False

    def fitted(self, loss, embedding_size: int) -> "Miner":
        """This miner with what it takes from the loss and the embeddings."""
        return self

    def pairs(self, distance, positive, negative) -> tuple[jax.Array, jax.Array]:
        """The masks [A, R] that remain of positives and negatives."""
        return positive, negative

    def negatives(self, distance, at, negative, keys) -> jax.Array:
        """The negatives [A, R] that remain for positives at distance `at` [A].

        `keys` [A] are random, or None unless the miner is.
        """
        return negative

    def union(self, distance, positive, negative, keys=None):
        """The masks [A, R] of pairs that are part of some triplet."""
        distance = jax.lax.stop_gradient(distance)
        positive, negative = self.pairs(distance, positive, negative)
        if not self.by_positive:
            return positive, negative
        references = jnp.arange(distance.shape[1])

        def step(masks, column, number):
            chosen = self.triplets(distance, column, number, negative, keys)
            here = (references == column[:, None]) & jnp.any(chosen, 1, keepdims=True)
            return masks[0] | here, masks[1] | chosen

        nothing = jnp.zeros_like(positive)
        return over_positives(step, positive, (nothing, nothing))

    def triplets(self, distance, column, number, negative, keys) -> jax.Array:
        """The negatives [A, R] for the positives of `column` [A] in step `number`.

        None where the column is past the last reference (see `over_positives`).
        """
        distance = jax.lax.stop_gradient(distance)
        if keys is not None:
            keys = jax.vmap(jax.random.fold_in, (0, None))(keys, number)
        chosen = self.negatives(distance, at_column(distance, column), negative, keys)
        return chosen & (column < distance.shape[1])[:, None]


@dataclasses.dataclass(frozen=True)
class BatchHard(Miner):
    """Each anchor's farthest positive and nearest negative: Hermans et al. 2017."""

    def pairs(self, distance, positive, negative):
        return _farthest(distance, positive), _nearest(distance, negative)


@dataclasses.dataclass(frozen=True)
class MultiSimilarity(Miner):
    """Pairs that some pair of the other kind contradicts, or nearly, by `epsilon`.

    Negatives nearer than the farthest positive plus ε, positives farther than the
    nearest negative minus ε: Wang et al. 2019 (1904.06627), eqs. 7 and 8.
    """

    epsilon: float = 0.1

    def __post_init__(self):
        check_number(self, 0.0, epsilon=self.epsilon)

    def pairs(self, distance, positive, negative):
        infinity = jnp.inf
        farthest = jnp.max(jnp.where(positive, distance, -infinity), 1, keepdims=True)
        nearest = jnp.min(jnp.where(negative, distance, infinity), 1, keepdims=True)
        return (
            positive & (distance > nearest - self.epsilon),
            negative & (distance < farthest + self.epsilon),
        )


@dataclasses.dataclass(frozen=True)
class SemiHard(Miner):
    """For each positive the nearest of the negatives that are farther than it is.

    Where no negative is farther, the farthest: FaceNet (Schroff et al. 2015,
    1503.03832), completed as in TensorFlow's losses. Of negatives at one distance all
    are taken.
    """

    by_positive: ClassVar[bool] = True

    def negatives(self, distance, at, negative, keys):
        farther = negative & (distance > at[:, None])
        fallback = ~jnp.any(farther, axis=1, keepdims=True)
        least = jnp.min(jnp.where(farther, distance, jnp.inf), 1, keepdims=True)
        most = jnp.max(jnp.where(negative, distance, -jnp.inf), 1, keepdims=True)
        return negative & (distance == jnp.where(fallback, most, least))


@dataclasses.dataclass(frozen=True)
class _Graded(Miner):
    """All triplets of one grade, by how much farther the negative is (FaceNet)."""

    by_positive: ClassVar[bool] = True

    def negatives(self, distance, at, negative, keys):
        return negative & self.grade(distance - at[:, None])

    def grade(self, gap):
        raise NotImplementedError


@dataclasses.dataclass(frozen=True)
class Hard(_Graded):
    """All triplets whose negative is no farther than the positive."""

    def grade(self, gap):
        return gap <= 0.0


@dataclasses.dataclass(frozen=True)
class _WithMargin(_Graded):
    """`margin` None is the loss's."""

    margin: float | None = None

    def fitted(self, loss, embedding_size):
        if self.margin is not None:
            return self
        margin = getattr(loss, "margin", None)
        if not isinstance(margin, int | float):
            raise UserError(
                f"Miner {type(self).__name__} got margin=None, but "
                f"{type(loss).__name__} has no margin to take; give the miner one."
            )
        return dataclasses.replace(self, margin=margin)


@dataclasses.dataclass(frozen=True)
class SemiHardBand(_WithMargin):
    """All triplets whose negative is farther than the positive, within the margin."""

    def grade(self, gap):
        return (gap > 0.0) & (gap <= self.margin)


@dataclasses.dataclass(frozen=True)
class Easy(_WithMargin):
    """All triplets whose negative is farther than the positive by the margin."""

    def grade(self, gap):
        return gap > self.margin


@dataclasses.dataclass(frozen=True)
class EasyPositive(SemiHard):
    """Each anchor's nearest positive, with its semi-hard negative: Xuan et al. 2020."""

    def pairs(self, distance, positive, negative):
        return _nearest(distance, positive), negative


@dataclasses.dataclass(frozen=True)
class DistanceWeighted(Miner):
    """For each positive one negative, drawn so that all distances are equally likely.

    Wu et al. 2017 (1706.07567), section 4.1: negatives weigh the inverse of the density
    d^(n-2) (1 - d²/4)^((n-3)/2) of distances on the sphere in n dimensions, which
    is taken at `cutoff` below it. As in the authors' code none is drawn from beyond
    `limit`, where no negative loses anything, unless all are.
    """

    cutoff: float = 0.5
    limit: float = 1.4
    metric: str = "euclidean"
    embedding_size: int = 3
    by_positive: ClassVar[bool] = True
    random: ClassVar[bool] = True

    def __post_init__(self):
        check_number(self, 1e-3, 2.0, cutoff=self.cutoff)
        check_number(self, 1e-3, limit=self.limit)

    def fitted(self, loss, embedding_size):
        if METRICS[loss.metric].chord is None:
            raise UserError(
                f"Miner DistanceWeighted got metric={loss.metric!r}; expected one that "
                "is a distance of unit vectors, such as 'euclidean' or 'cosine'."
            )
        return dataclasses.replace(
            self, metric=loss.metric, embedding_size=embedding_size
        )

    def negatives(self, distance, at, negative, keys):
        weights = self._weights(distance, negative)
        cumulated = jnp.cumsum(weights, axis=1)
        drawn = jax.vmap(jax.random.uniform)(keys).astype(distance.dtype)
        below = cumulated <= (drawn * cumulated[:, -1])[:, None]
        # Rounding may draw past the last weight.
        last = jnp.max(jnp.where(weights > 0.0, jnp.arange(weights.shape[1]), 0), 1)
        column = jnp.minimum(jnp.sum(below, axis=1), last)
        return negative & (jnp.arange(weights.shape[1]) == column[:, None])

    def _weights(self, distance, negative):
        d = METRICS[self.metric].chord(distance)
        near = negative & (d < self.limit)
        near = jnp.where(jnp.any(near, axis=1, keepdims=True), near, negative)
        d = jnp.clip(d, self.cutoff, 2.0)
        n = self.embedding_size
        inside = jnp.maximum(1.0 - 0.25 * d * d, 1e-8)
        log = (2.0 - n) * jnp.log(d) - 0.5 * (n - 3.0) * jnp.log(inside)
        log = jnp.where(near, log, -jnp.inf)
        highest = jnp.max(log, axis=1, keepdims=True)
        shifted = jnp.where(near, log - jnp.where(near, highest, 0.0), -jnp.inf)
        return jnp.exp(shifted)


def _farthest(distance, mask):
    most = jnp.max(jnp.where(mask, distance, -jnp.inf), axis=1, keepdims=True)
    return mask & (distance == most)


def _nearest(distance, mask):
    return _farthest(-distance, mask)


MINERS = {
    "all": Miner,
    "easy": Easy,
    "easy_positive": EasyPositive,
    "semi_hard": SemiHard,
    "semi_hard_band": SemiHardBand,
    "hard": Hard,
    "batch_hard": BatchHard,
    "distance_weighted": DistanceWeighted,
    "multi_similarity": MultiSimilarity,
}
