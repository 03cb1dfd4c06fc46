"""Losses of all pairs of an anchor at once, with larger weights of harder pairs.

They are log-sum-exp over positives and over negatives, whose gradient is a softmax.
"""

import dataclasses
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from nfml_jax.losses.pair_loss import PairLoss, Row
from nfml_jax.ops.checks import check_number
from nfml_jax.ops.fields import traced
from nfml_jax.ops.masked_reductions import masked_logsumexp


@dataclasses.dataclass(frozen=True)
class LiftedStructure(PairLoss):
    """[log Σ₊ exp(d₊) + log Σ₋ exp(m - d₋)]₊.

    Hermans et al. 2017 (1703.07737), eq. 9, the generalization of Song et al. 2016 to
    any number of positives.

    >>> from nfml_jax.losses import PairObjective
    >>> x = jnp.array([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0]])
    >>> labels = jnp.array([0, 0, 1])
    >>> objective = PairObjective(LiftedStructure(margin=1.0), num_classes=2)
    >>> round(float(jax.jit(objective.apply)({}, x, labels).loss), 3)
    0.478
    """

    margin: Any = traced(1.0)
    metric: str = "euclidean"
    paper: ClassVar[str] = "Hermans et al. 2017"
    use: ClassVar[str] = "small batches in which every pair should count"

    def __post_init__(self):
        super().__post_init__()
        check_number(self, 0.0, margin=self.margin)

    def rows(self, values, positive, negative):
        d = self.distance(values)
        some = _both(positive, negative)
        far = masked_logsumexp(d, positive)
        near = masked_logsumexp(self.margin - d, negative)
        return Row(jnp.where(some, jax.nn.relu(far + near), 0.0), some.astype(d.dtype))

    def formula(self):
        return f"[log Σ₊ exp(d₊) + log Σ₋ exp({self.margin:g} - d₋)]₊"


@dataclasses.dataclass(frozen=True)
class MultiSimilarity(PairLoss):
    """log(1 + Σ₊ exp(-α (s - λ)))/α + log(1 + Σ₋ exp(β (s - λ)))/β.

    Wang et al. 2019 (1904.06627), eq. 15, with the paper's numbers. It was published
    with the miner "multi_similarity".

    >>> from nfml_jax.losses import PairObjective
    >>> x = jnp.array([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0]])
    >>> labels = jnp.array([0, 0, 1])
    >>> objective = PairObjective(MultiSimilarity(), num_classes=2)
    >>> round(float(jax.jit(objective.apply)({}, x, labels).loss), 3)
    0.304
    """

    alpha: Any = traced(2.0)
    beta: Any = traced(50.0)
    base: Any = traced(1.0)
    miner: ClassVar[str] = "multi_similarity"
    paper: ClassVar[str] = "Wang et al. 2019"
    use: ClassVar[str] = (
        "fine-grained retrieval with several images of each class; a strong first "
        "choice among pair losses"
    )

    def __post_init__(self):
        super().__post_init__()
        check_number(self, 1e-6, alpha=self.alpha)
        check_number(self, 1e-6, beta=self.beta)
        check_number(self, -1.0, 2.0, base=self.base)

    def of(self, pairs, miner):
        # The mean is over all anchors, also those without any selected pair.
        counted = jnp.any(pairs.positive | pairs.negative, axis=1)
        row = super().of(pairs, miner)
        return Row(row.loss, counted.astype(row.loss.dtype))

    def rows(self, values, positive, negative):
        s = values - self.base
        pulled = masked_logsumexp(-self.alpha * s, positive, zeros=1) / self.alpha
        pushed = masked_logsumexp(self.beta * s, negative, zeros=1) / self.beta
        return Row(pulled + pushed, jnp.ones_like(pulled))

    def formula(self):
        a, b, base = f"{self.alpha:g}", f"{self.beta:g}", f"{self.base:g}"
        return (
            f"log(1 + Σ₊ exp(-{a}(s - {base})))/{a} + "
            f"log(1 + Σ₋ exp({b}(s - {base})))/{b}"
        )


@dataclasses.dataclass(frozen=True)
class Circle(PairLoss):
    """log(1 + Σ₋ exp(γ [s + m]₊ (s - m)) Σ₊ exp(-γ [1 + m - s]₊ (s - 1 + m))).

    Sun et al. 2020 (2002.10857), eq. 6 with the margins of eq. 7. The brackets are
    weights without gradient.

    >>> from nfml_jax.losses import PairObjective
    >>> x = jnp.array([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0]])
    >>> labels = jnp.array([0, 0, 1])
    >>> objective = PairObjective(Circle(margin=0.25, scale=8.0), num_classes=2)
    >>> round(float(jax.jit(objective.apply)({}, x, labels).loss), 3)
    1.357
    """

    margin: Any = traced(0.25)
    scale: Any = traced(256.0)
    paper: ClassVar[str] = "Sun et al. 2020"
    use: ClassVar[str] = (
        "as `multi_similarity`, with one weight for each pair by its distance from "
        "the optimum"
    )

    def __post_init__(self):
        super().__post_init__()
        check_number(self, 0.0, 1.0, margin=self.margin)
        check_number(self, 1e-6, scale=self.scale)

    def rows(self, values, positive, negative):
        fixed = jax.lax.stop_gradient(values)
        pull = self.scale * jax.nn.relu(1.0 + self.margin - fixed)
        push = self.scale * jax.nn.relu(fixed + self.margin)
        some = _both(positive, negative)
        pulled = masked_logsumexp(-pull * (values - 1.0 + self.margin), positive)
        pushed = masked_logsumexp(push * (values - self.margin), negative)
        lost = jax.nn.softplus(jnp.where(some, pulled + pushed, 0.0))
        return Row(jnp.where(some, lost, 0.0), some.astype(values.dtype))

    def formula(self):
        s, m = f"{self.scale:g}", f"{self.margin:g}"
        return (
            f"log(1 + Σ₋ exp({s}[s + {m}]₊(s - {m})) "
            f"Σ₊ exp(-{s}[1 + {m} - s]₊(s - 1 + {m})))"
        )


def _both(positive, negative):
    return jnp.any(positive, axis=1) & jnp.any(negative, axis=1)
