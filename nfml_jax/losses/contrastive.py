"""Losses of single pairs: positives within a distance, negatives beyond another."""

import dataclasses
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from nfml_jax.losses.pair_loss import PairLoss, Row
from nfml_jax.ops.checks import check_choice, check_number
from nfml_jax.ops.fields import traced
from nfml_jax.ops.masked_reductions import masked_mean


@dataclasses.dataclass(frozen=True)
class Contrastive(PairLoss):
    """[d - m₊]₊ʳ of positives and [m - d]₊ʳ of negatives, averaged separately.

    Siamese networks: Hadsell et al. 2006, eq. 4, with power 2 and m₊ = 0. With `metric`
    "cosine", d is 1 - cos θ. Averages are over the pairs with a loss above 0.

    >>> from nfml_jax.losses import PairObjective
    >>> x = jnp.array([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0]])
    >>> labels = jnp.array([0, 0, 1])
    >>> objective = PairObjective(Contrastive(margin=1.0), num_classes=2)
    >>> round(float(jax.jit(objective.apply)({}, x, labels).loss), 3)
    0.411
    """

    positive_margin: Any = traced(0.0)
    margin: Any = traced(1.0)
    power: int = 2
    metric: str = "euclidean"
    paper: ClassVar[str] = "Hadsell et al. 2006"
    use: ClassVar[str] = (
        "pairs labeled same or different, and one distance as the threshold for all"
    )

    def __post_init__(self):
        super().__post_init__()
        check_number(self, 0.0, positive_margin=self.positive_margin)
        check_number(self, 0.0, margin=self.margin)
        check_choice(self, (1, 2), power=self.power)

    def rows(self, values, positive, negative):
        d = self.distance(values)
        near = jax.nn.relu(d - self.positive_margin) ** self.power
        far = jax.nn.relu(self.margin - d) ** self.power
        # A NaN counts as a loss, so that it isn't ignored.
        pulled, pushed = positive & ~(near <= 0.0), negative & ~(far <= 0.0)
        loss = jnp.stack([masked_mean(near, pulled), masked_mean(far, pushed)])
        weight = jnp.stack([pulled.sum(-1), pushed.sum(-1)]).astype(d.dtype)
        pairs = jnp.stack([positive.sum(-1), negative.sum(-1)])
        return Row(loss, weight, weight / jnp.maximum(pairs, 1))

    def formula(self):
        power = "²" if self.power == 2 else ""
        near = f"[d₊ - {self.positive_margin:g}]₊" if self.positive_margin else "d₊"
        return f"mean {near}{power} + mean [{self.margin:g} - d₋]₊{power}"


@dataclasses.dataclass(frozen=True)
class SNRContrastive(Contrastive):
    """The contrastive loss of noise-to-signal ratios, with coordinates of mean zero.

    Yuan et al. 2019 (CVPR), eqs. 6 and 8: d = var(x₂ - x₁) / var(x₁), where x₁ is the
    anchor. `zero_mean` is the weight of |Σ of an embedding's coordinates|.

    >>> from nfml_jax.losses import PairObjective
    >>> x = jnp.array([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0]])
    >>> labels = jnp.array([0, 0, 1])
    >>> objective = PairObjective(SNRContrastive(margin=1.0), num_classes=2)
    >>> round(float(jax.jit(objective.apply)({}, x, labels).loss), 3)
    8.433
    """

    power: int = 1
    zero_mean: Any = traced(0.1)
    metric: ClassVar[str] = "snr"
    paper: ClassVar[str] = "Yuan et al. 2019"
    use: ClassVar[str] = (
        "as `contrastive`, where distances should be relative to the spread of an "
        "embedding"
    )

    def __post_init__(self):
        super().__post_init__()
        check_number(self, 0.0, zero_mean=self.zero_mean)

    def of(self, pairs, miner):
        row = super().of(pairs, miner)
        loss = self.zero_mean * jnp.abs(jnp.sum(pairs.anchors, axis=-1))
        weight = jnp.any(pairs.positive | pairs.negative, axis=-1)
        return Row(
            jnp.concatenate([row.loss, loss[None]]),
            jnp.concatenate([row.weight, weight[None].astype(row.weight.dtype)]),
            row.active,
        )

    def formula(self):
        return (
            f"{super().formula()} + {self.zero_mean:g}·|Σ x|, d = var(x₂ - x₁)/var x₁"
        )


@dataclasses.dataclass(frozen=True)
class MarginLoss(PairLoss):
    """[α ± (d - β)]₊ of pairs, + for positives, - for negatives, with a learned β.

    Wu et al. 2017 (1706.07567), eqs. 4 and 5. `beta` is the initial β, and `by_class`
    gives each class a β of its own, which the paper regularizes by ν·β. The loss is the
    mean over the pairs with a loss above 0. It was published with the miner
    "distance_weighted".

    >>> from nfml_jax.losses import PairObjective
    >>> x = jnp.array([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0]])
    >>> labels = jnp.array([0, 0, 1])
    >>> objective = PairObjective(MarginLoss(beta=0.7), num_classes=2)
    >>> variables = {"params": {"beta": jnp.full(2, 0.7)}}
    >>> round(float(jax.jit(objective.apply)(variables, x, labels).loss), 3)
    0.069
    """

    margin: Any = traced(0.2)
    beta: Any = traced(1.2)
    by_class: bool = True
    nu: Any = traced(0.0)
    metric: str = "euclidean"
    miner: ClassVar[str] = "distance_weighted"
    paper: ClassVar[str] = "Wu et al. 2017"
    use: ClassVar[str] = (
        "batches with few hard pairs, with the miner `distance_weighted`; the "
        "threshold is learned"
    )

    def __post_init__(self):
        super().__post_init__()
        check_number(self, 0.0, margin=self.margin)
        check_number(self, 0.0, beta=self.beta)
        check_number(self, 0.0, nu=self.nu)

    def parameters(self, num_classes):
        shape = (num_classes,) if self.by_class else ()
        return {"beta": jnp.full(shape, self.beta, jnp.float32)}

    def rows(self, values, positive, negative, beta):
        d = self.distance(values)
        beta = jnp.broadcast_to(beta, d.shape[:1]).astype(d.dtype)
        sign = jnp.where(positive, 1.0, -1.0)
        lost = jax.nn.relu(self.margin + sign * (d - beta[:, None]))
        pairs = positive | negative
        active = pairs & ~(lost <= 0.0)  # a NaN counts as a loss
        weight = jnp.sum(active, axis=-1).astype(d.dtype)
        loss = masked_mean(lost, active) + jnp.where(weight > 0.0, self.nu * beta, 0.0)
        return Row(loss, weight, weight / jnp.maximum(jnp.sum(pairs, axis=-1), 1))

    def formula(self):
        regularized = f" + {self.nu:g}·β" if self.nu else ""
        return f"mean [{self.margin:g} ± (d - β)]₊{regularized}"
