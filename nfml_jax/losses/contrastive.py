"""Losses of one pair at a time: positives within a distance, negatives beyond one."""

import dataclasses
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from nfml_jax.losses.pair_loss import PairLoss, Row
from nfml_jax.ops.checks import check_choice, check_number
from nfml_jax.ops.masked import masked_mean


@dataclasses.dataclass(frozen=True)
class Contrastive(PairLoss):
    """[d - m₊]₊ʳ of positives and [m - d]₊ʳ of negatives, each averaged by itself.

    Siamese networks: Hadsell et al. 2006, eq. 4, with power 2 and m₊ = 0; with `metric`
    "cosine", d is 1 - cos θ. Averages are over the pairs that still lose something.
    """

    positive_margin: Any = 0.0
    margin: Any = 1.0
    power: int = 2
    metric: str = "euclidean"
    paper: ClassVar[str] = "Hadsell et al. 2006"

    def __post_init__(self):
        super().__post_init__()
        check_number(self, 0.0, positive_margin=self.positive_margin)
        check_number(self, 0.0, margin=self.margin)
        check_choice(self, (1, 2), power=self.power)

    def rows(self, values, positive, negative):
        d = self.distance(values)
        near = jax.nn.relu(d - self.positive_margin) ** self.power
        far = jax.nn.relu(self.margin - d) ** self.power
        # What is NaN counts, and is not passed over.
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

    Yuan et al. 2019 (CVPR), eqs. 6 and 8: d = var(x₂ - x₁) / var(x₁), x₁ being the
    anchor, and `zero_mean` weighs |Σ of an embedding's coordinates|.
    """

    power: int = 1
    zero_mean: Any = 0.1
    metric: ClassVar[str] = "snr"
    paper: ClassVar[str] = "Yuan et al. 2019"

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

    Wu et al. 2017 (1706.07567), eqs. 4 and 5; `beta` is where β starts, and
    `by_class` gives every class its own, which the paper regularises by ν·β. It is
    averaged over the pairs that still lose something, and meant for the miner
    "distance_weighted".
    """

    margin: Any = 0.2
    beta: Any = 1.2
    by_class: bool = True
    nu: Any = 0.0
    metric: str = "euclidean"
    miner: ClassVar[str] = "distance_weighted"
    paper: ClassVar[str] = "Wu et al. 2017"

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
        active = pairs & ~(lost <= 0.0)  # also what is NaN
        weight = jnp.sum(active, axis=-1).astype(d.dtype)
        loss = masked_mean(lost, active) + jnp.where(weight > 0.0, self.nu * beta, 0.0)
        return Row(loss, weight, weight / jnp.maximum(jnp.sum(pairs, axis=-1), 1))

    def formula(self):
        regularised = f" + {self.nu:g}·β" if self.nu else ""
        return f"mean [{self.margin:g} ± (d - β)]₊{regularised}"
