"""The margin head: class weights, a margin on the right class, scale, cross entropy."""

from collections.abc import Callable

import flax
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from nfml_jax.errors import UserError
from nfml_jax.heads import angles
from nfml_jax.heads.margins import Margin
from nfml_jax.heads.scale import TargetProbability
from nfml_jax.heads.summation import SUMMATIONS
from nfml_jax.names import look_up


@flax.struct.dataclass
class HeadOutput:
    """What a head returns for a batch.

    `loss` [B] float32; `cosine` [B], the target cosine before the margin;
    `correct` [B], 1 where the margin-free logits' largest is the label; `logged`,
    scalars worth watching, all of them means over the batch: `scale`, `strength`,
    `target_angle` (degrees), `embedding_norm`, `weight_norm`, `ignored` (the
    share of labels out of range).
    """

    loss: jax.Array
    cosine: jax.Array
    correct: jax.Array
    logged: dict[str, jax.Array]


class MarginHead(nn.Module):
    """Classification with a margin: `head.apply(vars, embeddings, labels)`.

    `scale` is a number, `"learned"` (from the margin's own scale on),
    `TargetProbability(p)`, or None for the margin's own; margins that keep the
    embeddings' norm have none. `strength` maps the step to the share of the margin
    that applies (`Warmup`, `Annealing`, any function); None is all of it.
    `summation` names an entry of `SUMMATIONS`.

    Parameters are `weights` [C, D], `bias` [C] (where the margin has one) and
    `log_scale` (where it is learned), in float32. Float32 embeddings are multiplied
    in float32 on every device; bfloat16 embeddings in bfloat16, summed in float32, and
    the target cosine is computed in float32 all the same.
    """

    num_classes: int
    margin: Margin
    scale: float | str | TargetProbability | None = None
    strength: Callable[[jax.Array], jax.Array] | None = None
    summation: str = "dense"

    def __post_init__(self):
        if self.num_classes < 2:
            raise UserError(
                f"MarginHead got num_classes={self.num_classes!r}; expected at least 2."
            )
        look_up(SUMMATIONS, self.summation, "Summation")
        self._check_scale()
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
        weights, bias, scale = self._parameters(embeddings)
        strength = 1.0
        if self.strength is not None and step is not None:
            strength = self.strength(step)

        def scores(embeddings, weights, bias):
            return _scores(self.margin, scale, embeddings, weights, bias)

        def target(embeddings, weights, bias):
            return _target(self.margin, scale, strength, embeddings, weights, bias)

        valid = (labels >= 0) & (labels < self.num_classes)
        sum_over_classes = SUMMATIONS[self.summation]
        summed = sum_over_classes(
            embeddings, weights, bias, jnp.where(valid, labels, 0), scores, target
        )
        loss, cosine, correct = (jnp.where(valid, part, 0.0) for part in summed)
        cosine = jax.lax.stop_gradient(cosine)
        logged = {
            "scale": scale,
            "strength": strength,
            "target_angle": jnp.degrees(angles.angle(cosine)),
            "embedding_norm": angles.direction_and_norm(_float32(embeddings))[1],
            "weight_norm": angles.direction_and_norm(weights)[1],
            "ignored": 1.0 - valid,
        }
        if scale is None:
            del logged["scale"]
        logged = {name: jnp.mean(value) for name, value in logged.items()}
        return HeadOutput(loss, cosine, correct, jax.lax.stop_gradient(logged))

    def logits(self, embeddings: jax.Array) -> jax.Array:
        """The margin-free logits [B, C] of embeddings [B, D], used for prediction."""
        embeddings = jnp.asarray(embeddings)
        weights, bias, scale = self._parameters(embeddings)
        return _scores(self.margin, scale, embeddings, weights, bias)

    def formula(self) -> str:
        """The right class's logit, with the head's numbers in it."""
        return self._logit_shown(self.margin.formula())

    def words(self) -> str:
        """The loss in words, for a run's header."""
        right, others = self.formula(), self._logit_shown("cos θ")
        loss = f"cross entropy of softmax over {self.num_classes:,} classes"
        if right == others:
            words = [f"{loss}; logits {others}"]
        else:
            options = self.margin.options()
            right += f" ({options})" if options else ""
            words = [f"{loss}; right class {right}, others {others}"]
        if isinstance(self.scale, str):
            words.append("s is learned")
        if self.strength is not None:
            default = "margin of varying strength"
            words.append(getattr(self.strength, "words", lambda: default)())
        return "; ".join(words)

    def _logit_shown(self, phi: str) -> str:
        length = "" if self.margin.normalise_weights else "‖w‖·"
        size = f"{self._scale_shown()}·" if self.margin.normalise_embeddings else "‖x‖·"
        phi = phi if phi.startswith("cos") and " - " not in phi else f"({phi})"
        return length + size + phi + (" + b" if self.margin.bias else "")

    @nn.compact
    def _parameters(self, embeddings):
        init = nn.initializers.lecun_normal(in_axis=-1, out_axis=-2)
        shape = (self.num_classes, embeddings.shape[-1])
        weights = self.param("weights", init, shape, jnp.float32)
        bias = None
        if self.margin.bias:
            zeros = nn.initializers.zeros
            bias = self.param("bias", zeros, (self.num_classes,), jnp.float32)
            bias = jnp.asarray(bias)
        return jnp.asarray(weights), bias, self._scale()

    def _check_scale(self):
        name = type(self.margin).__name__
        if not self.margin.normalise_embeddings and self.scale is not None:
            raise UserError(
                f"{name} keeps the embeddings' norm and has no scale, but got "
                f"scale={self.scale!r}; leave the scale out (None)."
            )
        if isinstance(self.scale, str) and self.scale != "learned":
            raise UserError(
                f"MarginHead got scale={self.scale!r}; expected a number, 'learned' or "
                "a TargetProbability."
            )
        if angles.is_number(self.scale) and not 0 < self.scale < np.inf:
            raise UserError(
                f"MarginHead got scale={self.scale!r}; expected a number above 0."
            )
        if isinstance(self.scale, TargetProbability):
            self.scale.scale(self.margin, self.num_classes)

    def _scale(self):
        """The scale, or None where embeddings keep their norm."""
        start = self.margin.default_scale
        if isinstance(self.scale, str):
            log_start = nn.initializers.constant(np.log(start))
            return jnp.exp(self.param("log_scale", log_start, (), jnp.float32))
        if isinstance(self.scale, TargetProbability):
            return self.scale.scale(self.margin, self.num_classes)
        return start if self.scale is None else self.scale

    def _scale_shown(self) -> str:
        if isinstance(self.scale, str):
            return "s"
        scale = self._scale()
        return f"{float(scale):g}" if jnp.ndim(scale) == 0 else "s"


def _float32(values):
    """At least float32: float64 stays what it is."""
    return values.astype(jnp.promote_types(values.dtype, jnp.float32))


def _scores(margin, scale, embeddings, weights, bias):
    """Margin-free logits [B, C] of any block of classes."""
    x, w = _float32(embeddings), weights
    if margin.normalise_embeddings:
        x, _ = angles.direction_and_norm(x)
    if margin.normalise_weights:
        w, _ = angles.direction_and_norm(w)
    logits = jnp.matmul(
        x.astype(embeddings.dtype),
        w.astype(embeddings.dtype).T,
        precision=jax.lax.Precision.HIGHEST,
        preferred_element_type=x.dtype,
    )
    if margin.normalise_embeddings:
        logits = logits * scale
    return logits if bias is None else logits + bias


def _target(margin, scale, strength, embeddings, weights, bias):
    """The cosine [B] of embeddings with their own class, and the logit with margin."""
    x, x_norm = angles.direction_and_norm(_float32(embeddings))
    w, w_norm = angles.direction_and_norm(weights)
    cosine = jnp.clip(jnp.sum(x * w, axis=-1), -1.0, 1.0)
    logit = cosine + strength * (margin.target(cosine) - cosine)
    logit = logit * (scale if margin.normalise_embeddings else x_norm)
    logit = logit if margin.normalise_weights else logit * w_norm
    return cosine, logit if bias is None else logit + bias
