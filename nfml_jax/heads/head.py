"""The margin head: class weights, a margin on the right class, scale, cross entropy."""

import dataclasses
import functools
from collections.abc import Callable

import flax
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from nfml_jax.errors import UserError
from nfml_jax.heads import angles, wording
from nfml_jax.heads.logits import Logits, similarities
from nfml_jax.heads.margins import Margin, Rows
from nfml_jax.heads.scale import TargetProbability, check_scale
from nfml_jax.heads.summation import SUMMATIONS
from nfml_jax.names import look_up

# The collection of what follows the training beside the parameters.
STATISTICS = "statistics"


@flax.struct.dataclass
class HeadOutput:
    """What a head returns for a batch.

    `loss` [B] float32; `cosine` [B], the target cosine before the margin;
    `correct` [B], 1 where the margin-free logits' largest is the label; `logged`,
    scalars worth watching, all of them means over the batch: `scale`, `strength`,
    `target_angle` (degrees), `embedding_norm`, `weight_norm`, `ignored` (the
    share of labels out of range), what is added to the cross entropy (`penalty`), and
    the margin's statistics that are numbers.
    """

    loss: jax.Array
    cosine: jax.Array
    correct: jax.Array
    logged: dict[str, jax.Array]


class MarginHead(nn.Module):
    """Classification with a margin: `head.apply(vars, embeddings, labels)`.

    `scale` is a number, `"learned"` (from the margin's own scale on),
    `TargetProbability(p)`, or None for the margin's own; margins that keep the
    embeddings' norm have none, and AdaCos finds its own. `strength` maps the step to
    the share of the margin that applies (`Warmup`, `Annealing`, any function); None is
    all of it. `summation` names an entry of `SUMMATIONS`. `axis_name` is the device
    axis, if any, over which the rows that statistics are made of are gathered.

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
    axis_name: str | None = None

    def __post_init__(self):
        if self.num_classes < 2:
            raise UserError(
                f"MarginHead got num_classes={self.num_classes!r}; expected at least 2."
            )
        look_up(SUMMATIONS, self.summation, "Summation")
        check_scale(self.scale, self.margin, self.num_classes)
        super().__post_init__()

    def __call__(
        self, embeddings: jax.Array, labels: jax.Array, step: jax.Array | None = None
    ) -> HeadOutput:
        """The loss of embeddings [B, D] with whole-number labels [B].

        `step` drives `strength`; without it the margin applies in full. A label
        outside [0, num_classes) gives loss 0, no gradient and `correct` 0, so that a
        batch can be padded with -1.
        """
        embeddings, labels = jnp.asarray(embeddings), jnp.asarray(labels)
        margin, weights, bias, scale = self._variables(embeddings)
        strength = 1.0
        if self.strength is not None and step is not None:
            strength = self.strength(step)
        logits = Logits(margin, scale, strength)
        noise = self._noise(len(embeddings))

        valid = (labels >= 0) & (labels < self.num_classes)
        labels = jnp.where(valid, labels, 0)
        own, others, correct = SUMMATIONS[self.summation](
            embeddings,
            weights,
            bias,
            labels,
            lambda *block: logits.target(*block, noise),
            logits.scores,
        )
        loss = margin.loss(own.logit, others)
        penalty = self._penalty(margin, weights, labels, own.norm)
        if penalty is not None:
            loss = loss + strength * penalty
        loss, cosine, correct = (
            jnp.where(valid, part, 0.0) for part in (loss, own.cosine, correct)
        )
        self._follow(
            margin, Rows(own.cosine, own.norm, others, labels, own.centre, valid)
        )
        logged = {
            "scale": scale,
            "strength": strength,
            "target_angle": jnp.degrees(angles.angle(cosine)),
            "embedding_norm": own.norm,
            "weight_norm": angles.direction_and_norm(weights)[1],
            "ignored": 1.0 - valid,
            "penalty": None if penalty is None else jnp.where(valid, penalty, 0.0),
        }
        for name in margin.initial_statistics(self.num_classes):
            if jnp.ndim(value := getattr(margin, name)) == 0:
                logged.setdefault(name, value)
        logged = {n: jnp.mean(v) for n, v in logged.items() if v is not None}
        cosine, logged = jax.lax.stop_gradient((cosine, logged))
        return HeadOutput(loss, cosine, correct, logged)

    def logits(self, embeddings: jax.Array) -> jax.Array:
        """The margin-free logits [B, C] of embeddings [B, D], used for prediction."""
        embeddings = jnp.asarray(embeddings)
        margin, weights, bias, scale = self._variables(embeddings)
        return Logits(margin, scale).free(embeddings, weights, bias)

    def class_weights(self) -> jax.Array:
        """A vector for each class, [C, D]: its weights, or its dominant sub-centre."""
        weights = self.get_variable("params", "weights")
        if weights.ndim == 2:
            return weights
        dominant = jnp.argmax(self.get_variable(STATISTICS, "wins"), axis=-1)
        return weights[jnp.arange(len(weights)), dominant]

    def formula(self) -> str:
        """The right class's logit, with the head's numbers in it."""
        return wording.logit(self.margin, self._scale_shown(), self.margin.formula())

    def words(self) -> str:
        """The loss in words, for a run's header."""
        words = [wording.loss(self.margin, self._scale_shown(), self.num_classes)]
        if isinstance(self.scale, str):
            words.append("s is learned")
        if self.strength is not None:
            default = "margin of varying strength"
            words.append(getattr(self.strength, "words", lambda: default)())
        return "; ".join(words)

    @nn.compact
    def _variables(self, embeddings):
        """The margin with its statistics, the weights, the bias [C] and the scale."""
        shape = (self.num_classes, embeddings.shape[-1])
        if self.margin.subcentres > 1:
            shape = (self.num_classes, self.margin.subcentres, embeddings.shape[-1])
        init = nn.initializers.lecun_normal(-1, -2, batch_axis=range(len(shape) - 2))
        weights = self.param("weights", init, shape, jnp.float32)
        statistics = self.margin.initial_statistics(self.num_classes)
        statistics = {
            name: self.variable(STATISTICS, name, lambda value=value: value).value
            for name, value in statistics.items()
        }
        margin = dataclasses.replace(self.margin, **statistics)
        scale = self._scale(margin)
        bias = None
        if margin.bias:
            shape = () if margin.shared_bias else (self.num_classes,)
            start = margin.initial_bias(self.num_classes, scale)
            init = nn.initializers.constant(start)
            bias = self.param("bias", init, shape, jnp.float32)
            bias = jnp.broadcast_to(bias, (self.num_classes,))
        return margin, jnp.asarray(weights), bias, scale

    def _noise(self, count):
        if self.margin.random and self.has_rng("margin"):
            return jax.random.normal(self.make_rng("margin"), (count,))
        return jnp.zeros(count)

    def _penalty(self, margin, weights, labels, norm):
        """What is added to the loss [B], or None: of the norms or of the centres."""
        if not margin.repulsion:
            return margin.penalty(norm)

        def scores(centres, weights, bias, own):
            cosine = similarities(margin, centres, weights)
            return cosine, margin.log_nearness(cosine)

        nothing = lambda *block: None  # noqa: E731
        sum_over_classes = SUMMATIONS[self.summation]
        summed = sum_over_classes(
            weights[labels], weights, None, labels, nothing, scores
        )
        return margin.repulsion * jnp.exp(summed.others) / (self.num_classes - 1)

    def _follow(self, margin, rows):
        """Move the margin's statistics on, where they may change."""
        names = margin.initial_statistics(self.num_classes)
        changing = names and self.is_mutable_collection(STATISTICS)
        if not changing or self.is_initializing():
            return
        rows = jax.lax.stop_gradient(rows)
        if self.axis_name is not None:
            gather = functools.partial(
                jax.lax.all_gather, axis_name=self.axis_name, tiled=True
            )
            rows = jax.tree.map(gather, rows)
        for name, value in margin.moved(rows).items():
            value = value.astype(getattr(margin, name).dtype)
            self.put_variable(STATISTICS, name, value)

    def _scale(self, margin):
        """The scale, or None where embeddings keep their norm."""
        if isinstance(self.scale, str):
            log_start = nn.initializers.constant(
                np.log(margin.own_scale(self.num_classes))
            )
            return jnp.exp(self.param("log_scale", log_start, (), jnp.float32))
        if isinstance(self.scale, TargetProbability):
            return self.scale.scale(margin, self.num_classes)
        return margin.own_scale(self.num_classes) if self.scale is None else self.scale

    def _scale_shown(self) -> str:
        """The scale as formulae show it, "s" where it isn't a known number."""
        if isinstance(self.scale, str) or self.margin.finds_scale:
            return "s"
        scale = self._scale(self.margin)
        if scale is None:
            return ""
        return f"{float(scale):g}" if jnp.ndim(scale) == 0 else "s"
