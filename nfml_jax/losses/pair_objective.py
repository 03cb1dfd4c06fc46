"""The objective of any pair loss: anchors of this device against all references."""

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp

from nfml_jax.errors import UserError
from nfml_jax.losses.chunks import by_chunks
from nfml_jax.losses.inputs import check_batch, pair_masks
from nfml_jax.losses.memory import Memory
from nfml_jax.losses.metrics import METRICS
from nfml_jax.losses.miner import Miner
from nfml_jax.losses.output import LossOutput, output
from nfml_jax.losses.pair_loss import PairLoss, Pairs, Row
from nfml_jax.losses.watched import watched
from nfml_jax.ops import devices
from nfml_jax.ops.angles import direction_and_norm
from nfml_jax.ops.broadcasting import broadcasting
from nfml_jax.ops.checks import check_flag, check_integer
from nfml_jax.ops.masked import masked_mean


class PairObjective(nn.Module):
    """A pair loss over a batch: `objective.apply(vars, embeddings, labels, step)`.

    `miner` narrows the pairs. `normalise` puts embeddings on the unit sphere first;
    None is as the loss was published.
    `memory` adds that many embeddings of past batches to the references, from step
    `memory_start` on. `chunk` anchors are taken at a time, so that memory is
    O(chunk · references) in both directions; None takes all at once. With
    `axis_name` each device's anchors meet the references of all devices, and the
    loss is that of the whole batch.

    Parameters are the loss's own (see `PairLoss.parameters`); the collection "memory"
    is `Memory`'s; random miners draw from the stream "mining".
    """

    loss: PairLoss
    num_classes: int
    miner: Miner = Miner()
    normalise: bool | None = None
    memory: int = 0
    memory_start: int = 0
    chunk: int | None = None
    axis_name: str | None = None

    def __post_init__(self):
        check_integer(self, 1, num_classes=self.num_classes)
        check_integer(self, 0, memory=self.memory, memory_start=self.memory_start)
        check_integer(self, 1, optional=True, chunk=self.chunk)
        if self.normalise is not None:
            check_flag(self, normalise=self.normalise)
        # Raises where the two don't go together.
        self.miner.fitted(self.loss, embedding_size=2)
        super().__post_init__()

    @broadcasting
    @nn.compact
    def __call__(
        self, embeddings: jax.Array, labels: jax.Array, step: jax.Array | None = None
    ) -> LossOutput:
        """Return the loss of embeddings [B, D] with integer labels [B].

        Examples with a negative label take no part. Where a loss has a parameter for
        each class, a label of `num_classes` or more is refused; under jit, where it
        can't be seen, it takes no part either. Without a step the memory is used from
        the start. Logged are `active`, the share of pairs or triplets that still move;
        `positive_distance` and `negative_distance`, the means over pairs; and what is
        `watched`. They are of this device's anchors.
        """
        starts = self.loss.parameters(self.num_classes)
        by_class = any(start.ndim for start in starts.values())
        embeddings, labels = check_batch(
            embeddings, labels, self.num_classes if by_class else None
        )
        normalise = self.loss.normalise if self.normalise is None else self.normalise
        points = direction_and_norm(embeddings)[0] if normalise else embeddings
        parameters = {
            name: self.param(name, lambda _, start=start: jnp.asarray(start))
            for name, start in starts.items()
        }
        if by_class:
            # Nothing is learned of a class that has no parameter.
            labels = jnp.where(labels < self.num_classes, labels, -1)
        references, reference_labels = self._references(points, labels, step)
        place = devices.places(len(labels), self.axis_name)
        keys = self._keys(place) if self.miner.random else None

        def block(anchors, labels, place, keys):
            positive, negative = pair_masks(labels, place, reference_labels)
            pairs = Pairs(
                values=METRICS[self.loss.metric].values(
                    anchors, references, positive | negative
                ),
                positive=positive,
                negative=negative,
                anchors=anchors,
                references=references,
                anchor_labels=labels,
                reference_labels=reference_labels,
                keys=keys,
            )
            return self._lost(pairs, parameters)

        row, seen = by_chunks(block, (points, labels, place, keys), self.chunk)
        terms = devices.weighted_mean(row.loss, row.weight, self.axis_name)
        logged = watched(embeddings, labels >= 0)
        logged |= {
            name: masked_mean(value, some) for name, (value, some) in seen.items()
        }
        return output(jnp.sum(terms), logged)

    def _references(self, points, labels, step):
        """All embeddings that anchors meet, this batch's first, and their labels."""
        references = devices.gather(points, self.axis_name)
        reference_labels = devices.gather(labels, self.axis_name)
        if not self.memory:
            return references, reference_labels
        past, past_labels = Memory(self.memory, name="past")(
            devices.gather_shared(points, self.axis_name),
            devices.gather_shared(labels, self.axis_name),
        )
        if step is not None:
            past_labels = jnp.where(step >= self.memory_start, past_labels, -1)
        return (
            jnp.concatenate([references, past.astype(references.dtype)]),
            jnp.concatenate([reference_labels, past_labels]),
        )

    def _keys(self, place):
        """A random key [B] for each row, by its place in the whole batch."""
        # While Flax initialises, any stream may stand for it.
        if not (self.has_rng("mining") or self.has_rng("params")):
            raise UserError(
                f"Miner {type(self.miner).__name__} draws at random, but has nothing "
                "to draw from; call apply with rngs={'mining': key}, another key at "
                "each step, or take another miner, such as 'semi_hard'."
            )
        key = self.make_rng("mining")
        return jax.vmap(jax.random.fold_in, (None, 0))(key, place)

    def _lost(self, pairs, parameters):
        """The `Row` of a block, and [A] values to log with where they are any."""
        label = jnp.maximum(pairs.anchor_labels, 0)
        of_anchors = {
            name: value[label] if value.ndim else value
            for name, value in parameters.items()
        }
        miner = self.miner.fitted(self.loss, pairs.anchors.shape[-1])
        row = Row(*self.loss.of(pairs, miner, **of_anchors))
        # A loss for each anchor: any other shape would broadcast in silence.
        chex.assert_axis_dimension(row.loss, -1, len(label))
        chex.assert_axis_dimension(row.weight, -1, len(label))
        active = row.loss > 0.0 if row.active is None else row.active
        active = jnp.mean(jnp.atleast_2d(active).astype(row.loss.dtype), axis=0)
        distance = self.loss.distance(pairs.values)
        seen = {"active": (active, jnp.any(pairs.positive, axis=-1))}
        for sign in ("positive", "negative"):
            mask = getattr(pairs, sign)
            mean = masked_mean(distance, mask)
            seen[f"{sign}_distance"] = mean, jnp.any(mask, axis=-1)
        return Row(row.loss, row.weight), seen
