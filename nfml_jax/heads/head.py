"""The margin head: class weights, a margin on the right class, scale, cross entropy."""

import dataclasses
import functools
from collections.abc import Callable

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from nfml_jax.errors import UserError
from nfml_jax.heads import wording
from nfml_jax.heads.classes import Classes, of_labels, over_devices, share_of
from nfml_jax.heads.logits import Logits, as_queries, similarities
from nfml_jax.heads.margins import Margin, Rows
from nfml_jax.heads.output import HeadOutput, watched
from nfml_jax.heads.sampling import sampled
from nfml_jax.heads.scale import TargetProbability, check_scale, fixed_scale
from nfml_jax.heads.summation import SUMMATIONS, check_summation
from nfml_jax.ops import devices
from nfml_jax.ops.broadcasting import broadcasting
from nfml_jax.ops.embeddings import embedding_rows, labelled_rows

# The collection of what follows the training beside the parameters.
STATISTICS = "statistics"


class MarginHead(nn.Module):
    """Classification with a margin: `head.apply(vars, embeddings, labels)`.

    `scale` is a number, `"learned"` (from the margin's own scale on),
    `TargetProbability(p)`, or None for the margin's own; margins that keep the
    embeddings' norm have none, and AdaCos finds its own. `strength` maps the step to
    the share of the margin that applies (`Warmup`, `Annealing`, any function); None is
    all of it. `axis_name` is the device axis, if any, over which the rows that
    statistics are made of are gathered.

    `summation` names an entry of `SUMMATIONS`: "dense", "streamed" (`class_chunk`
    classes at a time), "sharded" or "sharded_streamed". The last two call their
    parameters `split_weights` and `split_bias`; within the device axis these are a
    device's share of the whole. They are filled up to a multiple of `SHARES` rows, and
    so fit any number of devices that divides it. With `class_share` below 1 only that
    share of the classes, drawn from the stream "classes" at each step, is summed over
    (Partial FC), where there is such a stream.

    Parameters are `weights` [C, D], or [C, K, D] for K sub-centres, `bias` [C], or one
    number (where the margin has one) and `log_scale` (where it is learned), in float32.
    Float32 embeddings are multiplied in float32 on every device; bfloat16 embeddings in
    bfloat16, summed in float32, and the target cosine is computed in float32 all the
    same. Margins that follow the training keep what they have seen in the collection
    "statistics", which changes only while it is mutable. Random margins draw from the
    stream "margin", and do without randomness if it isn't given.
    """

    num_classes: int
    margin: Margin
    scale: float | str | TargetProbability | None = None
    strength: Callable[[jax.Array], jax.Array] | None = None
    summation: str = "dense"
    class_chunk: int = 2048
    class_share: float = 1.0
    axis_name: str | None = None

    def __post_init__(self):
        if self.num_classes < 2:
            raise UserError(
                f"MarginHead got num_classes={self.num_classes!r}; expected at least 2."
            )
        check_summation(self.summation, self.class_chunk, self.class_share, self.margin)
        check_scale(self.scale, self.margin, self.num_classes)
        super().__post_init__()

    @broadcasting
    def __call__(
        self, embeddings: jax.Array, labels: jax.Array, step: jax.Array | None = None
    ) -> HeadOutput:
        """Return the loss of embeddings [B, D] with integer labels [B].

        `step` drives `strength`; without it the margin applies in full. A negative
        label gives loss 0, no gradient and `correct` 0, so that a batch can be padded
        with -1. A label of `num_classes` or more is refused; under jit, where it can't
        be seen, it counts as padding. `ignored` among `logged` is the share of both.

        Raises:
          UserError: for what is no label (see `nfml_jax.ops.labels`), or no embedding.
        """
        embeddings, labels = labelled_rows(embeddings, labels, self.num_classes)
        if not len(labels):  # as one row of padding, of which nothing is given back
            row = jnp.zeros((1, embeddings.shape[1]), embeddings.dtype)
            out = self(row, jnp.full(1, -1), step)
            return HeadOutput(out.loss[:0], out.cosine[:0], out.correct[:0], out.logged)
        margin, classes, scale = self._variables(embeddings)
        strength = 1.0
        if self.strength is not None and step is not None:
            strength = self.strength(step)
        count, axis = len(embeddings), self._split_axis
        # Where classes are split, every device takes the whole batch to its own.
        embeddings, labels, noise = (
            devices.gather(rows, axis)
            for rows in (embeddings, labels, self._noise(count))
        )
        logits = Logits(margin, scale, strength, None if axis else self.axis_name)

        valid = (labels >= 0) & (labels < self.num_classes)
        labels = jnp.where(valid, labels, 0).astype(jnp.int32)
        own = logits.target(embeddings, *of_labels(classes, labels, axis), noise=noise)
        found = self._sum(
            as_queries(margin, embeddings),
            self._drawn(classes, labels),
            labels,
            lambda *block: logits.scores(*block, phi=own.phi),
        )
        correct = own.free > found.rival
        loss = margin.loss(own.logit, found.others)
        # A margin's functions are elementwise: else losses would broadcast in silence.
        chex.assert_shape([own.phi, found.others, loss], labels.shape)
        penalty = self._penalty(margin, classes, labels, own.norm)
        if penalty is not None:
            loss = loss + strength * penalty
        loss, cosine, correct = (
            jnp.where(valid, part, 0.0) for part in (loss, own.cosine, correct)
        )
        self._follow(
            margin, Rows(own.cosine, own.norm, found.others, labels, own.centre, valid)
        )
        cosine, logged = jax.lax.stop_gradient(
            (cosine, watched(logits, own, valid, penalty, self.num_classes))
        )
        loss, cosine, correct = (
            devices.mine(part, count, axis) for part in (loss, cosine, correct)
        )
        return HeadOutput(loss, cosine, correct, logged)

    @broadcasting
    def logits(self, embeddings: jax.Array) -> jax.Array:
        """Return the margin-free logits [B, C] of embeddings [B, D], for prediction."""
        embeddings = embedding_rows(embeddings)
        margin, classes, scale = self._variables(embeddings)
        queries = as_queries(margin, embeddings)
        logits = Logits(margin, scale).free(queries, *classes[:2])
        return logits[:, : self.num_classes]

    @broadcasting
    def class_weights(self, classes: jax.Array | None = None) -> jax.Array:
        """A vector for each class, [C, D]: its weights, or its dominant sub-centre.

        With `classes` [N], of these alone, [N, D].
        """
        weights = self.get_variable("params", self._named("weights"))
        wanted = slice(self.num_classes) if classes is None else classes
        if weights.ndim == 2:
            return weights[wanted]
        dominant = jnp.argmax(self.get_variable(STATISTICS, "wins")[wanted], axis=-1)
        return weights[wanted][jnp.arange(len(dominant)), dominant]

    def formula(self) -> str:
        """The right class's logit, with the head's numbers in it."""
        return wording.right_logit(self)

    def words(self) -> str:
        """The loss in words, for a run's header."""
        return "; ".join([wording.loss(self), *wording.changes(self)])

    def summed_over(self) -> str:
        """Which classes a training step's softmax sums over, for a run's result."""
        share = self.class_share
        return "all classes" if share == 1.0 else f"Partial FC, {share:g}"

    @property
    def _split_axis(self):
        """The axis whose devices have a share of the classes each, if any."""
        return self.axis_name if SUMMATIONS[self.summation].split else None

    def _named(self, parameter):
        """The name of a parameter with a row for each class."""
        return f"{devices.SPLIT * SUMMATIONS[self.summation].split}{parameter}"

    @nn.compact
    def _variables(self, embeddings):
        """The margin with its statistics, the classes that are here, and the scale."""
        number = jnp.arange(self.num_classes)
        if SUMMATIONS[self.summation].split:
            number = share_of(self.num_classes, self._split_axis)
        rows = len(number)
        several = self.margin.subcentres > 1
        shape = rows, *[self.margin.subcentres] * several, embeddings.shape[-1]
        init = nn.initializers.lecun_normal(-1, -2, batch_axis=range(len(shape) - 2))
        weights = self.param(self._named("weights"), init, shape, jnp.float32)
        statistics = self.margin.initial_statistics(self.num_classes)
        statistics = {
            name: self.variable(STATISTICS, name, lambda value=value: value).value
            for name, value in statistics.items()
        }
        margin = dataclasses.replace(self.margin, **statistics)
        scale = self._scale(margin)
        bias = None
        if margin.bias:
            name, shape = self._named("bias"), (rows,)
            if margin.shared_bias:
                name, shape = "bias", ()
            start = margin.initial_bias(self.num_classes, scale)
            init = nn.initializers.constant(start)
            bias = self.param(name, init, shape, jnp.float32)
            bias = jnp.broadcast_to(bias, (rows,))
        return margin, Classes(jnp.asarray(weights), bias, number), scale

    def _noise(self, count):
        """A normal draw [B] for each row by its place in the whole batch, or 0."""
        if not (self.margin.random and self.has_rng("margin")):
            return jnp.zeros(count)
        place = devices.places(count, self.axis_name)
        keys = jax.vmap(jax.random.fold_in, (None, 0))(self.make_rng("margin"), place)
        return jax.vmap(jax.random.normal)(keys)

    def _drawn(self, classes, labels):
        """The classes that are summed over at this step: all, or a share of them."""
        if not (self.class_share < 1.0 and self.has_rng("classes")):
            return classes
        key = self.make_rng("classes")
        if self._split_axis is not None:
            key = jax.random.fold_in(key, jax.lax.axis_index(self._split_axis))
        return sampled(classes, labels, self.class_share, key)

    def _sum(self, queries, classes, labels, scores):
        block = SUMMATIONS[self.summation].block
        found = block(queries, classes, labels, scores, self.class_chunk)
        return over_devices(found, self._split_axis)

    def _penalty(self, margin, classes, labels, norm):
        """What is added to the loss [B], or None: of the norms or of the centres."""
        if not margin.repulsion:
            return margin.penalty(norm)

        def scores(centres, weights, bias):
            cosine = similarities(margin, centres, weights)
            return cosine, margin.log_nearness(cosine)

        centres, _ = of_labels(classes, labels, self._split_axis)
        centres = as_queries(margin, centres)
        found = self._sum(centres, classes, labels, scores)
        return margin.repulsion * jnp.exp(found.others) / (self.num_classes - 1)

    def _follow(self, margin, rows):
        """Move the margin's statistics on, where they may change."""
        names = margin.initial_statistics(self.num_classes)
        changing = names and self.is_mutable_collection(STATISTICS)
        if not changing or self.is_initializing():
            return
        rows = jax.lax.stop_gradient(rows)
        if self._split_axis is None:  # else they are all devices' already
            gather = functools.partial(devices.gather, axis_name=self.axis_name)
            rows = jax.tree.map(gather, rows)
        for name, value in margin.moved(rows).items():
            value = value.astype(getattr(margin, name).dtype)
            self.put_variable(STATISTICS, name, value)

    def _scale(self, margin):
        """The scale, or None where embeddings keep their norm."""
        if not isinstance(self.scale, str):
            return fixed_scale(self.scale, margin, self.num_classes)
        own = np.log(margin.own_scale(self.num_classes))
        init = nn.initializers.constant(own)
        return jnp.exp(self.param("log_scale", init, (), jnp.float32))
