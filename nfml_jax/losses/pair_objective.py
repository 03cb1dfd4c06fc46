"""The objective of a pair loss: this device's anchors against all references."""

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp

from nfml_jax.errors import UserError
from nfml_jax.losses.bounded_memory import by_chunks
from nfml_jax.losses.metrics import METRICS
from nfml_jax.losses.miners import Miner
from nfml_jax.losses.objective import (
    LossOutput,
    check_batch,
    monitored,
    output,
    pair_masks,
)
from nfml_jax.losses.pair_loss import PairLoss, Pairs, Row
from nfml_jax.ops import devices
from nfml_jax.ops.angles import direction_and_norm
from nfml_jax.ops.broadcasting import broadcasting
from nfml_jax.ops.checks import check_flag, check_integer
from nfml_jax.ops.masked_reductions import masked_mean


class PairObjective(nn.Module):
    """A pair loss over a batch: `objective.apply(vars, embeddings, labels, step)`.

    Attributes:
      loss: the pair loss.
      num_classes: the number of classes, for losses with a number for each.
      miner: the selection of pairs and triplets.
      normalize: True if embeddings are projected onto the unit sphere; None is as the
        loss was published.
      memory: the number of past embeddings that are further references.
      memory_start: the first step that uses them.
      chunk: the number of anchors that are compared at a time, for memory of
        O(chunk · references) in both directions; None is all at once.
      axis_name: the device axis. Each device's anchors are compared with the references
        of all devices, and the loss is that of the whole batch.

    Parameters are the loss's (see `PairLoss.parameters`), and the collection "memory"
    is `Memory`'s. Random miners draw from the stream "mining".

    >>> from nfml_jax.losses import Triplet
    >>> x = jnp.array([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0]])
    >>> labels = jnp.array([0, 0, 1])
    >>> objective = PairObjective(Triplet(0.2), num_classes=2)
    >>> out = jax.jit(objective.apply)({}, x, labels)
    >>> {name: round(float(value), 3) for name, value in out.logged.items()}
    {'active': 0.0, 'embedding_norm': 1.0, 'negative_distance': 1.154,
     'positive_distance': 0.632, 'spread': 0.596}

    """

    loss: PairLoss
    num_classes: int
    miner: Miner = Miner()
    normalize: bool | None = None
    memory: int = 0
    memory_start: int = 0
    chunk: int | None = None
    axis_name: str | None = None

    def __post_init__(self):
        check_integer(self, 1, num_classes=self.num_classes)
        check_integer(self, 0, memory=self.memory, memory_start=self.memory_start)
        check_integer(self, 1, optional=True, chunk=self.chunk)
        if self.normalize is not None:
            check_flag(self, normalize=self.normalize)
        # It raises an error if miner and loss don't fit.
        self.miner.fitted(self.loss, embedding_size=2)
        super().__post_init__()

    @broadcasting
    @nn.compact
    def __call__(
        self, embeddings: jax.Array, labels: jax.Array, step: jax.Array | None = None
    ) -> LossOutput:
        """Return the loss of embeddings `[B, D]` with integer labels `[B]`.

        A negative label is padding. If a loss has a parameter for each class, a label
        of `num_classes` or more raises an error; under jit, where its value is unknown,
        it counts as padding. Without a step the memory is used from the start. The loss
        logs `active` (the share of pairs or triplets with a loss above 0),
        `positive_distance` and `negative_distance` (means over pairs), and `monitored`
        of this device's anchors.
        """
        starts = self.loss.parameters(self.num_classes)
        by_class = any(start.ndim for start in starts.values())
        embeddings, labels = check_batch(
            embeddings, labels, self.num_classes if by_class else None
        )
        normalize = self.loss.normalize if self.normalize is None else self.normalize
        points = direction_and_norm(embeddings)[0] if normalize else embeddings
        parameters = {
            name: self.param(name, lambda _, start=start: jnp.asarray(start))
            for name, start in starts.items()
        }
        if by_class:
            # A class without a parameter is padding.
            labels = jnp.where(labels < self.num_classes, labels, -1)
        references, reference_labels = self._references(points, labels, step)
        place = devices.local_places(len(labels), self.axis_name)
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
        logged = monitored(embeddings, labels >= 0)
        logged |= {
            name: masked_mean(value, some) for name, (value, some) in seen.items()
        }
        return output(jnp.sum(terms), logged)

    def _references(self, points, labels, step):
        """Return the references, this batch's first, and their labels."""
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
        """Return a random key `[B]` for each row, by its place in the whole batch."""
        # During initialization, Flax takes the stream "params" instead.
        if not (self.has_rng("mining") or self.has_rng("params")):
            raise UserError(
                f"Miner {type(self.miner).__name__} draws at random, but got no random "
                "key; call apply with rngs={'mining': key}, another key at each step, "
                "or use another miner, such as 'semi_hard'."
            )
        key = self.make_rng("mining")
        return jax.vmap(jax.random.fold_in, (None, 0))(key, place)

    def _lost(self, pairs, parameters):
        """Return a block's `Row`, and values `[A]` to log with masks of valid ones."""
        label = jnp.maximum(pairs.anchor_labels, 0)
        of_anchors = {
            name: value[label] if value.ndim else value
            for name, value in parameters.items()
        }
        miner = self.miner.fitted(self.loss, pairs.anchors.shape[-1])
        row = Row(*self.loss.of(pairs, miner, **of_anchors))
        # There is one loss for each anchor: other shapes would broadcast silently.
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


class Memory(nn.Module):
    """The last `rows` embeddings and labels, in the collection "memory".

    Cross-batch memory (Wang et al. 2020, 1912.06798): embeddings drift slowly once
    training is under way, so that those of the last steps are as good as new ones, and
    cost only their distances. It is a ring of `embeddings` `[M, D]`, `labels` `[M]`
    (-1 in empty rows) and the `next` row to write, equal on all devices.

    >>> memory, x, labels = Memory(rows=3), jnp.ones((2, 4)), jnp.array([5, 6])
    >>> variables = memory.init(jax.random.key(0), x, labels)
    >>> _, after = memory.apply(variables, x, labels, mutable=["memory"])
    >>> after["memory"]["labels"].tolist()
    [5, 6, -1]
    """

    rows: int

    @nn.compact
    def __call__(self, embeddings: jax.Array, labels: jax.Array):
        """Return the stored embeddings `[M, D]` and labels `[M]`, then add this batch.

        `embeddings` `[B, D]` and `labels` `[B]` are the whole batch's, without
        gradient. Nothing is added if the collection is not mutable.
        """
        shape = (self.rows, embeddings.shape[-1])
        stored = self.variable(
            "memory", "embeddings", jnp.zeros, shape, embeddings.dtype
        )
        stored_labels = self.variable(
            "memory", "labels", jnp.full, (self.rows,), -1, labels.dtype
        )
        if not jnp.can_cast(labels.dtype, stored_labels.value.dtype):
            raise UserError(
                f"The memory holds labels of type {stored_labels.value.dtype}, but got "
                f"labels of type {labels.dtype}; give it the type that it began with."
            )
        place = self.variable("memory", "next", jnp.zeros, (), jnp.int32)
        before = stored.value, stored_labels.value
        if self.is_mutable_collection("memory") and not self.is_initializing():
            # The last rows of a batch that is larger than the memory.
            embeddings, labels = embeddings[-self.rows :], labels[-self.rows :]
            rows = (place.value + jnp.arange(len(labels))) % self.rows
            stored.value = stored.value.at[rows].set(
                embeddings.astype(stored.value.dtype)
            )
            stored_labels.value = stored_labels.value.at[rows].set(labels)
            place.value = (place.value + len(labels)) % self.rows
        return before
