"""The miners: by hardness of triplets, and by what contradicts a pair."""

import dataclasses
from typing import ClassVar

import jax.numpy as jnp

from nfml_jax.errors import UserError
from nfml_jax.losses.distance_weighted import DistanceWeighted
from nfml_jax.losses.miner import Miner
from nfml_jax.ops.checks import check_number


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
