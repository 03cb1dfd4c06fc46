"""The margin head: class weights, a margin on the target, scale, cross entropy."""

import dataclasses
import functools
from collections.abc import Callable

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from nfml_jax.heads import wording
from nfml_jax.heads.classes import Classes, of_labels, over_devices, sampled, share_of
from nfml_jax.heads.logits import HeadOutput, Logits, as_queries, similarities
from nfml_jax.heads.margins import Margin, Rows
from nfml_jax.heads.scale import TargetProbability, check_scale, fixed_scale
from nfml_jax.heads.summation import SUMMATIONS, check_summation
from nfml_jax.ops import devices
from nfml_jax.ops.broadcasting import broadcasting
from nfml_jax.ops.checks import check_integer
from nfml_jax.ops.embeddings import embedding_rows, labeled_rows
from nfml_jax.ops.fields import traced

# The collection of values that change during training beside the parameters.
STATISTICS = "statistics"


class MarginHead(nn.Module):
    """A classification layer with a margin: `head.apply(vars, embeddings, labels)`.

    Attributes:
      num_classes: the number of classes, C.
      margin: a margin of `MARGINS`.
      scale: a number, "learned" (starting at the margin's default),
        `TargetProbability(p)`, or None for the margin's default. Margins that keep the
        embeddings' norm have no scale, and AdaCos computes its own.
      strength: a function from the step to the share of the margin that applies, such
        as `Warmup` or `Annealing`; None is all of it.
      summation: "dense", "streamed" (`class_chunk` classes at a time), "sharded" or
        "sharded_streamed"; see `SUMMATIONS`.
      class_chunk: the number of classes in a block of a streamed sum.
      class_share: the share of the classes that a step sums over (Partial FC), drawn
        from the random stream "classes". Without the stream all classes count.
      axis_name: the device axis, over which statistics are gathered.

    Parameters are `weights` `[C, D]`, or `[C, K, D]` for K sub-centers, `bias` `[C]` or
    `[]` if the margin has one, and `log_scale` if the scale is learned, in float32.
    Sharded sums name them `split_weights` and `split_bias`: within the device axis they
    are one device's share. They are padded to a multiple of `SHARES` rows, and so fit
    any number of devices that divides it. Float32 embeddings are multiplied in float32
    on every device, and bfloat16 embeddings in bfloat16, summed in float32; the target
    cosine is always computed in float32. Statistics of a margin are the collection
    "statistics", which changes only while it is mutable. Random margins draw from the
    stream "margin", and use the mean without it.

    >>> from nfml_jax.heads import ArcFace
    >>> head = MarginHead(num_classes=2, margin=ArcFace(0.5), scale=8.0)
    >>> variables = {"params": {"weights": jnp.eye(2)}}
    >>> embeddings = jnp.array([[2.0, 0.0], [0.6, 0.8]])
    >>> out = head.apply(variables, embeddings, jnp.array([0, 0]))
    >>> [round(float(loss), 2) for loss in out.loss], out.correct.tolist()
    ([0.0, 5.26], [1.0, 0.0])

    """

    num_classes: int
    margin: Margin
    scale: float | str | TargetProbability | None = traced(None)
    strength: Callable[[jax.Array], jax.Array] | None = None
    summation: str = "dense"
    class_chunk: int = 2048
    class_share: float = 1.0
    axis_name: str | None = None

    def __post_init__(self):
        check_integer(self, 2, num_classes=self.num_classes)
        check_summation(self.summation, self.class_chunk, self.class_share, self.margin)
        check_scale(self.scale, self.margin, self.num_classes)
        super().__post_init__()

    @broadcasting
    def __call__(
        self, embeddings: jax.Array, labels: jax.Array, step: jax.Array | None = None
    ) -> HeadOutput:
        """Return the loss of embeddings `[B, D]` with integer labels `[B]`.

        `step` determines `strength`; without it the margin applies in full. A negative
        label gives loss 0, gradient 0 and `correct` 0, so that a batch can be padded
        with -1. A label of `num_classes` or more raises an error; under jit, where its
        value is unknown, it counts as padding. `logged["ignored"]` is the share of
        both.

        Raises:
          UserError: for invalid labels (see `nfml_jax.ops.labels`) or embeddings.

        """
        embeddings, labels = labeled_rows(embeddings, labels, self.num_classes)
        if not len(labels):  # one row of padding, which is cut off again
            row = jnp.zeros((1, embeddings.shape[1]), embeddings.dtype)
            out = self(row, jnp.full(1, -1), step)
            return HeadOutput(out.loss[:0], out.cosine[:0], out.correct[:0], out.logged)
        margin, classes, scale = self._variables(embeddings)
        strength = 1.0
        if self.strength is not None and step is not None:
            strength = self.strength(step)
        count, axis = len(embeddings), self._split_axis
        # If classes are split, each device scores the whole batch on its classes.
        embeddings, labels, noise = (
            devices.gather(rows, axis)
            for rows in (embeddings, labels, self._noise(count))
        )
        logits = Logits(margin, scale, strength, None if axis else self.axis_name)

        valid = (labels >= 0) & (labels < self.num_classes)
        labels = jnp.where(valid, labels, 0).astype(jnp.int32)
        target = logits.target(
            embeddings, *of_labels(classes, labels, axis), noise=noise
        )
        found = self._sum(
            as_queries(margin, embeddings),
            self._drawn(classes, labels),
            labels,
            lambda *block: logits.scores(*block, phi=target.phi),
        )
        correct = target.free > found.hardest
        loss = margin.loss(target.logit, found.others)
        # A margin's functions are elementwise: other shapes would broadcast silently.
        chex.assert_shape([target.phi, found.others, loss], labels.shape)
        penalty = self._penalty(margin, classes, labels, target.norm)
        if penalty is not None:
            loss = loss + strength * penalty
        loss, cosine, correct = (
            jnp.where(valid, part, 0.0) for part in (loss, target.cosine, correct)
        )
        seen = target.cosine, target.norm, found.others, labels, target.center, valid
        self._follow(margin, Rows(*seen))
        cosine, logged = jax.lax.stop_gradient(
            (cosine, logits.logged(target, valid, penalty, self.num_classes))
        )
        loss, cosine, correct = (
            devices.local_rows(part, count, axis) for part in (loss, cosine, correct)
        )
        return HeadOutput(loss, cosine, correct, logged)

    @broadcasting
    def logits(self, embeddings: jax.Array) -> jax.Array:
        """Return margin-free logits `[B, C]` of embeddings `[B, D]`, for prediction."""
        embeddings = embedding_rows(embeddings)
        margin, classes, scale = self._variables(embeddings)
        queries = as_queries(margin, embeddings)
        logits = Logits(margin, scale).free(queries, *classes[:2])
        return logits[:, : self.num_classes]

    @broadcasting
    def class_weights(self, classes: jax.Array | None = None) -> jax.Array:
        """Return each class's weights or dominant sub-center, `[C, D]`.

        With `classes` `[N]` the result has these classes alone, `[N, D]`.
        """
        weights = self.get_variable("params", self._named("weights"))
        wanted = slice(self.num_classes) if classes is None else classes
        if weights.ndim == 2:
            return weights[wanted]
        dominant = jnp.argmax(self.get_variable(STATISTICS, "wins")[wanted], axis=-1)
        return weights[wanted][jnp.arange(len(dominant)), dominant]

    def formula(self) -> str:
        """Return the formula of the target's logit, with the head's numbers in it."""
        return wording.target_logit(self)

    def words(self) -> str:
        """Return the loss in words, for a run's header."""
        return "; ".join([wording.loss(self), *wording.changes(self)])

    def summed_over(self) -> str:
        """Return the classes of a training step's softmax in words, for a result."""
        share = self.class_share
        return "all classes" if share == 1.0 else f"Partial FC, {share:g}"

    @property
    def _split_axis(self):
        """The axis whose devices share the classes, or None."""
        return self.axis_name if SUMMATIONS[self.summation].split else None

    def _named(self, parameter):
        """Return the name of a parameter that has a row for each class."""
        return f"{devices.SPLIT * SUMMATIONS[self.summation].split}{parameter}"

    @nn.compact
    def _variables(self, embeddings):
        """Return the margin with its statistics, this device's classes, the scale."""
        number = jnp.arange(self.num_classes)
        if SUMMATIONS[self.summation].split:
            number = share_of(self.num_classes, self._split_axis)
        rows = len(number)
        several = self.margin.subcenters > 1
        shape = rows, *[self.margin.subcenters] * several, embeddings.shape[-1]
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
        """Return a normal draw `[B]` by each row's place in the whole batch, or 0."""
        if not (self.margin.random and self.has_rng("margin")):
            return jnp.zeros(count)
        place = devices.local_places(count, self.axis_name)
        keys = jax.vmap(jax.random.fold_in, (None, 0))(self.make_rng("margin"), place)
        return jax.vmap(jax.random.normal)(keys)

    def _drawn(self, classes, labels):
        """Return the classes that this step sums over: all, or a random share."""
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
        """Return a term `[B]` of the loss for norms or for centers, or None."""
        if not margin.repulsion:
            return margin.penalty(norm)

        def scores(centers, weights, bias):
            cosine = similarities(margin, centers, weights)
            return cosine, margin.log_nearness(cosine)

        centers, _ = of_labels(classes, labels, self._split_axis)
        centers = as_queries(margin, centers)
        found = self._sum(centers, classes, labels, scores)
        return margin.repulsion * jnp.exp(found.others) / (self.num_classes - 1)

    def _follow(self, margin, rows):
        """Update the margin's statistics, if their collection is mutable."""
        names = margin.initial_statistics(self.num_classes)
        changing = names and self.is_mutable_collection(STATISTICS)
        if not changing or self.is_initializing():
            return
        rows = jax.lax.stop_gradient(rows)
        if self._split_axis is None:  # split classes have gathered the rows already
            gather = functools.partial(devices.gather, axis_name=self.axis_name)
            rows = jax.tree.map(gather, rows)
        for name, value in margin.moved(rows).items():
            value = value.astype(getattr(margin, name).dtype)
            self.put_variable(STATISTICS, name, value)

    def _scale(self, margin):
        """Return the scale, or None if embeddings keep their norm."""
        if not isinstance(self.scale, str):
            return fixed_scale(self.scale, margin, self.num_classes)
        initial = np.log(margin.own_scale(self.num_classes))
        init = nn.initializers.constant(initial)
        return jnp.exp(self.param("log_scale", init, (), jnp.float32))
