"""Smooth losses of an anchor's average precision over the rest of the batch.

FastAP (Cakir et al. 2019, "Deep Metric Learning to Rank") uses histograms of distances,
and Smooth-AP (Brown et al. 2020) replaces comparisons by sigmoids.
"""

import dataclasses
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from nfml_jax.losses.bounded_memory import at_column, sum_over_positives
from nfml_jax.losses.histogram import soft_histogram
from nfml_jax.losses.pair_loss import PairLoss, Row
from nfml_jax.ops.checks import check_integer, check_number
from nfml_jax.ops.fields import traced


@dataclasses.dataclass(frozen=True)
class FastAP(PairLoss):
    """1 - Σ_l h₊(l) H₊(l) / H(l) / n₊, with histograms h of d² and their sums H.

    Cakir et al. 2019, section 3: d² between unit vectors lies in [0, 4], which is
    divided into `bins`; larger values count as 4. Anchors without positives have weight
    0.

    >>> from nfml_jax.losses import PairObjective
    >>> x = jnp.array([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0]])
    >>> labels = jnp.array([0, 1, 1])
    >>> objective = PairObjective(FastAP(bins=10), num_classes=2)
    >>> round(float(jax.jit(objective.apply)({}, x, labels).loss), 3)
    0.25
    """

    bins: int = 10
    metric: ClassVar[str] = "squared"
    paper: ClassVar[str] = "Cakir et al. 2019"
    use: ClassVar[str] = (
        "retrieval with large batches: average precision itself, by histograms"
    )

    def __post_init__(self):
        super().__post_init__()
        check_integer(self, 1, bins=self.bins)

    def rows(self, values, positive, negative):
        masks = positive, positive | negative
        of_positives, of_all = soft_histogram(values, masks, 0.0, 4.0, self.bins)
        nearer_positives = jnp.cumsum(of_positives, axis=-1)
        nearer = jnp.cumsum(of_all, axis=-1)
        some = nearer > 0.0
        precision = jnp.where(
            some, nearer_positives / jnp.where(some, nearer, 1.0), 0.0
        )
        count = jnp.sum(positive, axis=-1)
        mean = jnp.sum(of_positives * precision, axis=-1) / jnp.maximum(count, 1)
        weight = (count > 0).astype(mean.dtype)
        return Row(weight * (1.0 - mean), weight)

    def formula(self):
        return f"1 - Σ_l h₊(l) H₊(l) / H(l) / n₊, {self.bins:g} bins of d²"


@dataclasses.dataclass(frozen=True)
class SmoothAP(PairLoss):
    """1 - mean over positives i of (1 + Σ₊ σ(s_j - s_i)) / (1 + Σ σ(s_j - s_i)).

    Brown et al. 2020 (2007.12163): σ is the sigmoid with temperature T, and sums are
    over the other examples, without the anchor. Memory is that of the pairs
    (`sum_over_positives`). Anchors without positives don't count.

    >>> from nfml_jax.losses import PairObjective
    >>> x = jnp.array([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0]])
    >>> labels = jnp.array([0, 0, 1])
    >>> objective = PairObjective(SmoothAP(temperature=0.1), num_classes=2)
    >>> round(float(jax.jit(objective.apply)({}, x, labels).loss), 3)
    0.053
    """

    temperature: Any = traced(0.01)
    paper: ClassVar[str] = "Brown et al. 2020"
    use: ClassVar[str] = (
        "retrieval with batches that hold several images of each class: average "
        "precision itself, by sigmoids"
    )

    def __post_init__(self):
        super().__post_init__()
        check_number(self, 1e-6, temperature=self.temperature)

    def rows(self, values, positive, negative):
        logits, masks = values / self.temperature, (positive, negative)
        summed = sum_over_positives(_precision, logits, masks, positive)
        count = jnp.sum(positive, axis=-1)
        weight = (count > 0).astype(values.dtype)
        return Row(weight * (1.0 - summed / jnp.maximum(count, 1)), weight)

    def formula(self):
        return (
            "1 - mean₊ (1 + Σ₊ σ(s_j - s₊)) / (1 + Σ σ(s_j - s₊)), "
            f"σ(s) = 1 / (1 + exp(-s/{self.temperature:g}))"
        )


def _precision(logits, masks, column, number):
    """Return the smooth precision `[A]` at each anchor's positive in a column."""
    positive, negative = masks
    at = at_column(logits, column)[:, None]
    before = jax.nn.sigmoid(logits - at)
    others = positive & (jnp.arange(positive.shape[1]) != column[:, None])
    positives = 1.0 + jnp.sum(jnp.where(others, before, 0.0), axis=-1)
    negatives = jnp.sum(jnp.where(negative, before, 0.0), axis=-1)
    return positives / (positives + negatives)
