"""Histogram loss, and histograms with a gradient.

Ustinova and Lempitsky 2016 (1611.00822).
"""

from typing import ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp

from nfml_jax.losses.bounded_memory import by_chunks
from nfml_jax.losses.metrics import inner
from nfml_jax.losses.objective import (
    LossOutput,
    check_batch,
    monitored,
    output,
    pair_masks,
)
from nfml_jax.ops import control_flow, devices
from nfml_jax.ops.angles import direction_and_norm
from nfml_jax.ops.broadcasting import broadcasting
from nfml_jax.ops.checks import check_integer


class Histogram(nn.Module):
    """Σ_r h₋(r) H₊(r): the probability that a negative pair is nearer than a positive.

    h₋ and h₊ are histograms of the pairs' cosines, and H₊ sums h₊ up to r (eq. 4).
    [-1, 1] is divided into `bins`. The pairs are those of the whole batch, computed for
    `chunk` anchors at a time, or for all at once if None. The loss is 0 without
    positives or without negatives. A negative label is padding.

    >>> x = jnp.array([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0]])
    >>> labels = jnp.array([0, 1, 1])
    >>> round(float(jax.jit(Histogram(bins=20).apply)({}, x, labels).loss), 3)
    0.5
    """

    bins: int = 100
    chunk: int | None = None
    axis_name: str | None = None
    paper: ClassVar[str] = "Ustinova and Lempitsky 2016"
    use: ClassVar[str] = (
        "large batches, with no margin to tune: the overlap of genuine and impostor "
        "cosines"
    )
    needs: ClassVar[str] = "labels"

    def __post_init__(self):
        check_integer(self, 1, bins=self.bins)
        check_integer(self, 1, optional=True, chunk=self.chunk)
        super().__post_init__()

    @broadcasting
    def __call__(
        self, embeddings: jax.Array, labels: jax.Array, step: jax.Array | None = None
    ) -> LossOutput:
        """Return the loss of embeddings `[B, D]` with integer labels `[B]`.

        It logs `positive_distance` and `negative_distance`, the means of 1 - cos θ over
        the batch's pairs, and `monitored` of this device's rows.
        """
        embeddings, labels = check_batch(embeddings, labels)
        counts = self._counts(direction_and_norm(embeddings)[0], labels)
        counts = devices.gather(counts[None], self.axis_name).sum(axis=0)
        # The shares of a pair at its two nodes sum to 1.
        pairs = jnp.round(jax.lax.stop_gradient(counts.sum(axis=-1)))
        positives, negatives = counts / jnp.maximum(pairs, 1.0)[:, None]
        loss = jnp.sum(negatives * jnp.cumsum(positives))
        logged = monitored(embeddings, labels >= 0)
        nodes = jnp.linspace(2.0, 0.0, self.bins + 1)
        for sign, shares in (("positive", positives), ("negative", negatives)):
            logged[f"{sign}_distance"] = jnp.sum(shares * nodes)
        return output(loss, logged)

    def formula(self) -> str:
        """Return the formula of the batch's loss, with this loss's numbers in it."""
        return f"Σ_r h₋(r) Σ_{{q≤r}} h₊(q), {self.bins:g} bins of s"

    def _counts(self, directions, labels):
        """Return counts `[2, bins + 1]` of this device's positives and negatives."""
        references = devices.gather(directions, self.axis_name)
        reference_labels = devices.gather(labels, self.axis_name)

        def block(anchors, labels, place):
            masks = pair_masks(labels, place, reference_labels)
            cosines = inner(anchors, references)
            counts = soft_histogram(cosines, masks, -1.0, 1.0, self.bins)
            return jnp.moveaxis(counts, 1, -1)

        place = devices.local_places(len(labels), self.axis_name)
        return by_chunks(block, (directions, labels, place), self.chunk).sum(axis=-1)


def soft_histogram(
    values: jax.Array,
    masks: tuple[jax.Array, ...],
    low: float,
    high: float,
    bins: int,
) -> jax.Array:
    """Return counts `[T, A, bins + 1]` of values `[A, R]` at even nodes.

    Nodes run from `low` to `high`. A value is shared linearly between the nodes on both
    sides, with shares that sum to 1; a value beyond the ends counts at the end. Each of
    the T masks `[A, R]` selects the values of one histogram. Ustinova and Lempitsky
    2016, eqs. 2 and 3. Memory is that of the values, because nodes are computed one by
    one, in both directions.

    >>> values, mask = jnp.array([[0.25, 1.0]]), jnp.array([[True, True]])
    >>> soft_histogram(values, (mask,), 0.0, 1.0, bins=2).tolist()
    [[[0.5, 0.5, 1.0]]]
    """
    place = jnp.clip((values - low) * (bins / (high - low)), 0.0, bins)

    @jax.checkpoint
    def count(node):
        share = jnp.maximum(1.0 - jnp.abs(place - node), 0.0)
        return jnp.stack([jnp.sum(jnp.where(m, share, 0.0), axis=-1) for m in masks])

    nodes = jnp.arange(bins + 1, dtype=place.dtype)
    _, counts = control_flow.scan(lambda _, node: ((), count(node)), (), nodes)
    return jnp.moveaxis(counts, 0, -1)
