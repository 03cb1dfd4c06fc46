"""The objective of any pair loss: anchors of this device against all references."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from nfml_jax import devices, loops
from nfml_jax.heads.angles import direction_and_norm
from nfml_jax.losses.checks import check_whole
from nfml_jax.losses.inputs import check_batch
from nfml_jax.losses.masked import masked_mean
from nfml_jax.losses.memory import Memory
from nfml_jax.losses.metrics import METRICS
from nfml_jax.losses.miner import Miner
from nfml_jax.losses.output import LossOutput
from nfml_jax.losses.pair_loss import PairLoss, Pairs, Row


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
        check_whole(self, 0, memory=self.memory, memory_start=self.memory_start)
        if self.chunk is not None:
            check_whole(self, 1, chunk=self.chunk)
        # Raises where the two don't go together.
        self.miner.fitted(self.loss, embedding_size=2)
        super().__post_init__()

    @nn.compact
    def __call__(
        self, embeddings: jax.Array, labels: jax.Array, step: jax.Array | None = None
    ) -> LossOutput:
        """The loss of embeddings [B, D] with whole-number labels [B].

        Examples with a negative label take no part. Without a step the memory is used
        from the start. Logged are `active`, the share of pairs or triplets that still
        move; `embedding_norm`; `spread`, from 0 where all embeddings have one direction
        to 1 where their directions cancel; and `positive_distance` and
        `negative_distance`, the means over pairs. They are of this device's anchors.
        """
        embeddings, labels = check_batch(embeddings, labels)
        directions, norms = direction_and_norm(embeddings)
        normalise = self.loss.normalise if self.normalise is None else self.normalise
        points = directions if normalise else embeddings
        parameters = {
            name: self.param(name, lambda _, start=start: jnp.asarray(start))
            for name, start in self.loss.parameters(self.num_classes).items()
        }
        references, reference_labels = self._references(points, labels, step)
        place = devices.first_row(len(labels), self.axis_name) + jnp.arange(len(labels))
        keys = None
        if self.miner.random:
            keys = jax.vmap(jax.random.fold_in, (None, 0))(
                self.make_rng("mining"), place
            )

        def block(anchors, labels, place, keys):
            known = (labels >= 0)[:, None] & (reference_labels >= 0)
            same = labels[:, None] == reference_labels
            itself = place[:, None] == jnp.arange(len(reference_labels))
            pairs = Pairs(
                values=METRICS[self.loss.metric].values(anchors, references),
                positive=known & same & ~itself,
                negative=known & ~same,
                anchors=anchors,
                references=references,
                anchor_labels=labels,
                reference_labels=reference_labels,
                keys=keys,
            )
            return self._lost(pairs, parameters)

        row, seen = _by_chunks(block, (points, labels, place, keys), self.chunk)
        terms = devices.weighted_mean(row.loss, row.weight, self.axis_name)
        known = labels >= 0
        logged = {
            "embedding_norm": masked_mean(norms, known),
            "spread": _spread(directions, known),
            **{name: masked_mean(value, some) for name, (value, some) in seen.items()},
        }
        return LossOutput(jnp.sum(terms), jax.lax.stop_gradient(logged))

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

    def _lost(self, pairs, parameters):
        """The `Row` of a block, and [A] values to log with where they are any."""
        of_anchors = {
            name: value[jnp.maximum(pairs.anchor_labels, 0)] if value.ndim else value
            for name, value in parameters.items()
        }
        miner = self.miner.fitted(self.loss, pairs.anchors.shape[-1])
        row = Row(*self.loss.of(pairs, miner, **of_anchors))
        active = row.loss > 0.0 if row.active is None else row.active
        active = jnp.mean(jnp.atleast_2d(active).astype(row.loss.dtype), axis=0)
        distance = self.loss.distance(pairs.values)
        seen = {"active": (active, jnp.any(pairs.positive, axis=-1))}
        for sign in ("positive", "negative"):
            mask = getattr(pairs, sign)
            mean = masked_mean(distance, mask)
            seen[f"{sign}_distance"] = mean, jnp.any(mask, axis=-1)
        return Row(row.loss, row.weight), seen


def _by_chunks(block, rows, chunk):
    """`block` of rows [B, ...], chunk after chunk; its results are [..., B]."""
    count = len(rows[0])
    if chunk is None or chunk >= count:
        return block(*rows)
    chunks = -(-count // chunk)

    def split(x):
        # Padding repeats the first row: what comes of it is cut off again.
        padded = jnp.concatenate([x, x[jnp.zeros(chunks * chunk - count, int)]])
        return padded.reshape(chunks, chunk, *x.shape[1:])

    def join(x):
        return jnp.moveaxis(x, 0, -2).reshape(*x.shape[1:-1], -1)[..., :count]

    def step(_, rows):
        return (), jax.checkpoint(block)(*rows)

    _, results = loops.scan(step, (), jax.tree.map(split, rows))
    return jax.tree.map(join, results)


def _spread(directions, known):
    """The root of the summed variance of unit vectors [B, D] where known [B]."""
    mean = masked_mean(directions.T, known)
    from_mean = jnp.sum((directions - mean) ** 2, axis=-1)
    return jnp.sqrt(masked_mean(from_mean, known))
