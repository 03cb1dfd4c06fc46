"""Histogram loss: how probable it is that a negative pair is nearer than a positive.

Ustinova and Lempitsky 2016 (1611.00822).
"""

from typing import ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp

from nfml_jax.losses.chunks import by_chunks
from nfml_jax.losses.inputs import check_batch, pair_masks
from nfml_jax.losses.metrics import inner
from nfml_jax.losses.output import LossOutput, output
from nfml_jax.losses.soft_histogram import soft_histogram
from nfml_jax.losses.watched import watched
from nfml_jax.ops import devices
from nfml_jax.ops.angles import direction_and_norm
from nfml_jax.ops.broadcasting import broadcasting
from nfml_jax.ops.checks import check_integer


class Histogram(nn.Module):
    """Σ_r h₋(r) H₊(r): histograms of all pairs' cosines, H₊ summed up to r (eq. 4).

    `bins` divide [-1, 1]. The pairs are those of the whole batch, `chunk` anchors'
    at a time (None: all at once); without positives, or without negatives, there is no
    loss. A negative label takes no part.
    """

    bins: int = 100
    chunk: int | None = None
    axis_name: str | None = None
    paper: ClassVar[str] = "Ustinova and Lempitsky 2016"
    needs: ClassVar[str] = "labels"

    def __post_init__(self):
        check_integer(self, 1, bins=self.bins)
        check_integer(self, 1, optional=True, chunk=self.chunk)
        super().__post_init__()

    @broadcasting
    def __call__(
        self, embeddings: jax.Array, labels: jax.Array, step: jax.Array | None = None
    ) -> LossOutput:
        """Return the loss of embeddings [B, D] with integer labels [B].

        Logged are `positive_distance` and `negative_distance`, the means of 1 - cos θ
        over the batch's pairs, and of this device's rows what is `watched`.
        """
        embeddings, labels = check_batch(embeddings, labels)
        counts = self._counts(direction_and_norm(embeddings)[0], labels)
        counts = devices.gather(counts[None], self.axis_name).sum(axis=0)
        # Shared between nodes, the pairs are still as many.
        pairs = jnp.round(jax.lax.stop_gradient(counts.sum(axis=-1)))
        positives, negatives = counts / jnp.maximum(pairs, 1.0)[:, None]
        loss = jnp.sum(negatives * jnp.cumsum(positives))
        logged = watched(embeddings, labels >= 0)
        nodes = jnp.linspace(2.0, 0.0, self.bins + 1)
        for sign, shares in (("positive", positives), ("negative", negatives)):
            logged[f"{sign}_distance"] = jnp.sum(shares * nodes)
        return output(loss, logged)

    def formula(self) -> str:
        """The batch's loss as a person writes it, with its numbers in it."""
        return f"Σ_r h₋(r) Σ_{{q≤r}} h₊(q), {self.bins:g} bins of s"

    def _counts(self, directions, labels):
        """Positive and negative pairs at each node [2, bins + 1], of these anchors."""
        references = devices.gather(directions, self.axis_name)
        reference_labels = devices.gather(labels, self.axis_name)

        def block(anchors, labels, place):
            masks = pair_masks(labels, place, reference_labels)
            cosines = inner(anchors, references)
            counts = soft_histogram(cosines, masks, -1.0, 1.0, self.bins)
            return jnp.moveaxis(counts, 1, -1)

        place = devices.places(len(labels), self.axis_name)
        return by_chunks(block, (directions, labels, place), self.chunk).sum(axis=-1)
