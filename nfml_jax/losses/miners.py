"""Miners: masks of the pairs and triplets of a batch that take part in a loss.

A miner sees distances, for every metric of a loss. It selects the positives and
negatives of each anchor once (`pairs`), and then the negatives for each of the anchor's
positives (`negatives`). Triplet losses use both selections. Pair losses get the pairs
that are part of a selected triplet (`union`).
"""

import dataclasses
from typing import ClassVar

import jax
import jax.numpy as jnp

from nfml_jax.errors import UserError
from nfml_jax.losses.bounded_memory import at_column, over_positives
from nfml_jax.ops.checks import check_number


@dataclasses.dataclass(frozen=True)
class Miner:
    """The base class of all miners, which on its own selects all pairs and triplets.

    >>> distance = jnp.array([[0.0, 0.3, 0.5, 0.9]])
    >>> positive = jnp.array([[False, True, False, True]])
    >>> negative = jnp.array([[False, False, True, False]])
    >>> [mask.tolist() for mask in BatchHard().pairs(distance, positive, negative)]
    [[[False, False, False, True]], [[False, False, True, False]]]
    """

    # Whether `negatives` selects at all, and whether it draws at random.
    by_positive: ClassVar[bool] = False
    random: ClassVar[bool] = False

    def fitted(self, loss, embedding_size: int) -> "Miner":
        """Return this miner with fields taken from the loss and the embeddings."""
        return self

    def pairs(self, distance, positive, negative) -> tuple[jax.Array, jax.Array]:
        """Return the selected part of the masks `[A, R]` of positives and negatives."""
        return positive, negative

    def negatives(self, distance, at, negative, keys) -> jax.Array:
        """Return the selected negatives `[A, R]` for positives at distance `at` `[A]`.

        `keys` `[A]` are random keys if the miner is random, or None.
        """
        return negative

    def union(self, distance, positive, negative, keys=None):
        """Return the masks `[A, R]` of pairs that are part of a selected triplet."""
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
        """Return the negatives `[A, R]` for the positives in `column` `[A]`.

        `number` is the step of `over_positives`. The result is false in rows whose
        column is past the last reference.
        """
        distance = jax.lax.stop_gradient(distance)
        if keys is not None:
            keys = jax.vmap(jax.random.fold_in, (0, None))(keys, number)
        chosen = self.negatives(distance, at_column(distance, column), negative, keys)
        return chosen & (column < distance.shape[1])[:, None]


@dataclasses.dataclass(frozen=True)
class BatchHard(Miner):
    """Each anchor's farthest positive and nearest negative: Hermans et al. 2017.

    >>> BatchHard().by_positive
    False
    """

    def pairs(self, distance, positive, negative):
        return _farthest(distance, positive), _nearest(distance, negative)


@dataclasses.dataclass(frozen=True)
class MultiSimilarityMiner(Miner):
    """Pairs that a pair of the other kind contradicts to within `epsilon`.

    They are the negatives nearer than the farthest positive plus ε, and the positives
    farther than the nearest negative minus ε: Wang et al. 2019 (1904.06627), eqs. 7 and
    8.

    >>> distance, positive = jnp.array([[0.3, 0.5]]), jnp.array([[True, False]])
    >>> near, far = MultiSimilarityMiner(0.1).pairs(distance, positive, ~positive)
    >>> bool(near.any()), bool(far.any())  # 0.3 < 0.5 - 0.1
    (False, False)
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
    """The nearest negative that is farther than the positive, for each positive.

    If no negative is farther, it is the farthest: FaceNet (Schroff et al. 2015,
    1503.03832), completed as in TensorFlow's losses. All negatives at the same distance
    are selected.

    >>> distance = jnp.array([[0.2, 0.6, 0.9]])
    >>> at = jnp.array([0.5])
    >>> SemiHard().negatives(distance, at, jnp.full((1, 3), True), None).tolist()
    [[False, True, False]]
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
        """Return a mask of distances of negatives less those of their positives."""
        raise NotImplementedError


@dataclasses.dataclass(frozen=True)
class Hard(_Graded):
    """All triplets whose negative is no farther than the positive.

    >>> Hard().grade(jnp.array([-0.1, 0.1])).tolist()
    [True, False]
    """

    def grade(self, gap):
        return gap <= 0.0


@dataclasses.dataclass(frozen=True)
class _WithMargin(_Graded):
    """Triplets that are graded by a margin; None is the loss's margin."""

    margin: float | None = None

    def fitted(self, loss, embedding_size):
        if self.margin is not None:
            return self
        margin = loss.margin
        if not isinstance(margin, int | float):
            raise UserError(
                f"Miner {type(self).__name__} got margin=None, but "
                f"{type(loss).__name__} has no margin to take; give the miner one."
            )
        return dataclasses.replace(self, margin=margin)


@dataclasses.dataclass(frozen=True)
class SemiHardBand(_WithMargin):
    """All triplets whose negative is farther than the positive, within the margin.

    >>> SemiHardBand(0.2).grade(jnp.array([-0.1, 0.1, 0.3])).tolist()
    [False, True, False]
    """

    def grade(self, gap):
        return (gap > 0.0) & (gap <= self.margin)


@dataclasses.dataclass(frozen=True)
class Easy(_WithMargin):
    """All triplets whose negative is farther than the positive by the margin.

    >>> Easy(0.2).grade(jnp.array([-0.1, 0.1, 0.3])).tolist()
    [False, False, True]
    """

    def grade(self, gap):
        return gap > self.margin


@dataclasses.dataclass(frozen=True)
class EasyPositive(SemiHard):
    """Each anchor's nearest positive, with its semi-hard negative: Xuan et al. 2020.

    >>> distance, positive = jnp.array([[0.3, 0.5]]), jnp.array([[True, True]])
    >>> EasyPositive().pairs(distance, positive, ~positive)[0].tolist()
    [[True, False]]
    """

    def pairs(self, distance, positive, negative):
        return _nearest(distance, positive), negative


def _farthest(distance, mask):
    most = jnp.max(jnp.where(mask, distance, -jnp.inf), axis=1, keepdims=True)
    return mask & (distance == most)


def _nearest(distance, mask):
    return _farthest(-distance, mask)
