"""Losses of a positive against all negatives at once, log(1 + Σ₋ exp(...))."""

import dataclasses
import math
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from nfml_jax.losses.bounded_memory import at_column, sum_over_positives
from nfml_jax.losses.metrics import inner
from nfml_jax.losses.pair_loss import PairLoss, Row
from nfml_jax.ops import angles
from nfml_jax.ops.checks import check_number
from nfml_jax.ops.fields import traced
from nfml_jax.ops.masked_reductions import masked_logsumexp, masked_mean


@dataclasses.dataclass(frozen=True)
class NPair(PairLoss):
    """log(1 + Σ₋ exp(x·x₋ - x·x₊)) and the embeddings' squared norm times λ/2.

    Sohn 2016 (NIPS), eq. 6, for every positive, and for all negatives instead of one of
    each class. Embeddings keep their length, which λ regularizes (section 3.2.2).

    >>> from nfml_jax.losses import PairObjective
    >>> x = jnp.array([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0]])
    >>> labels = jnp.array([0, 0, 1])
    >>> objective = PairObjective(NPair(), num_classes=2)
    >>> round(float(jax.jit(objective.apply)({}, x, labels).loss), 3)
    0.486
    """

    penalty: Any = traced(0.002)
    metric: ClassVar[str] = "inner"
    normalize: ClassVar[bool] = False
    paper: ClassVar[str] = "Sohn 2016"
    use: ClassVar[str] = "batches with many classes and two images of each"

    def __post_init__(self):
        super().__post_init__()
        check_number(self, 0.0, penalty=self.penalty)

    def of(self, pairs, miner):
        row = super().of(pairs, miner)
        squared = jnp.sum(pairs.anchors**2, axis=-1)
        return Row(row.loss + 0.5 * self.penalty * squared, row.weight)

    def rows(self, values, positive, negative):
        against = masked_logsumexp(values, negative)[:, None]
        return _mean_of_positives(jax.nn.softplus(against - values), positive, negative)

    def formula(self):
        return f"log(1 + Σ₋ exp(x·x₋ - x·x₊)) + {0.5 * self.penalty:g}·‖x‖²"


@dataclasses.dataclass(frozen=True)
class TupletMargin(PairLoss):
    """log(1 + Σ₋ exp(s (cos θ₋ - cos(θ₊ - β)))), β in radians.

    Yu and Tao 2019 (ICCV), eq. 6. β lowers the weight of hard positives, which may be
    mislabeled; the paper's is 0.1.

    >>> from nfml_jax.losses import PairObjective
    >>> x = jnp.array([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0]])
    >>> labels = jnp.array([0, 0, 1])
    >>> objective = PairObjective(TupletMargin(scale=4.0), num_classes=2)
    >>> round(float(jax.jit(objective.apply)({}, x, labels).loss), 3)
    0.17
    """

    scale: Any = traced(64.0)
    margin: Any = traced(0.1)
    paper: ClassVar[str] = "Yu and Tao 2019"
    use: ClassVar[str] = (
        "many negatives at once, with some positives that may be mislabeled"
    )

    def __post_init__(self):
        super().__post_init__()
        check_number(self, 1e-6, scale=self.scale)
        check_number(self, 0.0, math.pi / 2, margin=self.margin)

    def rows(self, values, positive, negative):
        against = masked_logsumexp(self.scale * values, negative)[:, None]
        cosine = jnp.clip(values, -1.0, 1.0)
        eased = cosine * jnp.cos(self.margin)
        eased = eased + angles.sine(cosine) * jnp.sin(self.margin)
        lost = jax.nn.softplus(against - self.scale * eased)
        return _mean_of_positives(lost, positive, negative)

    def formula(self):
        return f"log(1 + Σ₋ exp({self.scale:g} (cos θ₋ - cos(θ₊ - {self.margin:g}))))"


@dataclasses.dataclass(frozen=True)
class Angular(PairLoss):
    """log(1 + Σ₋ exp(4 tan²α (x + x₊)·x₋ - 2 (1 + tan²α) x·x₊)), α in degrees.

    Wang et al. 2017 (1708.01682), eqs. 6 and 7: α bounds the angle at the negative in
    the triangle of the three.

    >>> from nfml_jax.losses import PairObjective
    >>> x = jnp.array([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0]])
    >>> labels = jnp.array([0, 0, 1])
    >>> objective = PairObjective(Angular(angle=40.0), num_classes=2)
    >>> round(float(jax.jit(objective.apply)({}, x, labels).loss), 3)
    0.304
    """

    angle: Any = traced(40.0)
    paper: ClassVar[str] = "Wang et al. 2017"
    use: ClassVar[str] = (
        "classes of unequal spread: angles don't depend on it, distances do"
    )

    def __post_init__(self):
        super().__post_init__()
        check_number(self, 1.0, 89.0, angle=self.angle)

    def of(self, pairs, miner):
        positive, negative = miner.pairs(
            self.distance(pairs.values), pairs.positive, pairs.negative
        )

        def term(operands, constants, column, number):
            values, references = operands
            chosen = miner.triplets(self.distance(values), column, number, *constants)
            of_positive = inner(references[column], references)
            tangent = jnp.tan(jnp.radians(self.angle)) ** 2
            towards = 4.0 * tangent * (values + of_positive)
            apart = 2.0 * (1.0 + tangent) * at_column(values, column)
            lost = jax.nn.softplus(masked_logsumexp(towards, chosen) - apart)
            some = jnp.any(chosen, axis=1)
            return jnp.where(some, lost, 0.0), some.astype(lost.dtype)

        lost, count = sum_over_positives(
            term,
            (pairs.values, angles.direction_and_norm(pairs.references)[0]),
            (negative, pairs.keys),
            positive,
        )
        return Row(lost / jnp.maximum(count, 1.0), count)

    def formula(self):
        tangent = math.tan(math.radians(self.angle)) ** 2
        return (
            f"log(1 + Σ₋ exp({4 * tangent:.3g}·(x + x₊)·x₋ - "
            f"{2 * (1 + tangent):.3g}·x·x₊))"
        )


def _mean_of_positives(lost, positive, negative):
    """Return the mean loss of anchors with negatives over their positives `[A, R]`."""
    counted = positive & jnp.any(negative, axis=1, keepdims=True)
    return Row(masked_mean(lost, counted), jnp.sum(counted, 1).astype(lost.dtype))
