"""Contrastive losses: pull positives together, push negatives a margin away."""

import dataclasses
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from nfml_jax.losses.pair_loss import PairLoss, Row, check_number, masked_mean


@dataclasses.dataclass(frozen=True)
class Contrastive(PairLoss):
    """[d - m₊]₊ʳ of positives and [m₋ - d]₊ʳ of negatives, each averaged by itself.

    Siamese networks: Hadsell et al. 2006, eq. 4, with power 2; with `metric` "cosine",
    d is 1 - cos θ. Averages are over the pairs that still lose something.
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
        check_number(self, 1, 2, power=self.power)

    def rows(self, values, positive, negative):
        d = self.distance(values)
        near = jax.nn.relu(d - self.positive_margin) ** self.power
        far = jax.nn.relu(self.margin - d) ** self.power
        pulled, pushed = positive & (near > 0.0), negative & (far > 0.0)
        weight = jnp.stack([pulled.sum(-1), pushed.sum(-1)]).astype(d.dtype)
        loss = jnp.stack([masked_mean(near, pulled), masked_mean(far, pushed)])
        pairs = jnp.stack([positive.sum(-1), negative.sum(-1)])
        return Row(loss, weight, weight / jnp.maximum(pairs, 1))

    def formula(self):
        return (
            f"mean [d₊ - {self.positive_margin:g}]₊^{self.power} + "
            f"mean [{self.margin:g} - d₋]₊^{self.power}"
        )
