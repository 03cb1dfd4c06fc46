"""Logits of any block of classes, and of the target with its margin."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import struct

from nfml_jax.heads.margins.margin import Margin
from nfml_jax.ops import angles, devices
from nfml_jax.ops.precision import at_least_float32


@struct.dataclass
class HeadOutput:
    """The output of a head for a batch.

    Attributes:
      loss: `[B]`, float32.
      cosine: `[B]`, the target cosine before the margin.
      correct: `[B]`, 1 where the largest margin-free logit is the target's.
      logged: scalars to monitor, all of them means over the batch: `scale`, `strength`,
        `target_angle` (degrees), `embedding_norm`, `weight_norm`, `ignored` (the share
        of labels out of range), `penalty` (what is added to the cross entropy), and the
        margin's scalar statistics.

    >>> out = HeadOutput(jnp.ones(2), jnp.zeros(2), jnp.ones(2), logged={})
    >>> float(out.loss.mean())
    1.0

    """

    loss: jax.Array
    cosine: jax.Array
    correct: jax.Array
    logged: dict[str, jax.Array]


class Target(NamedTuple):
    """The target class of each example, all `[B]`.

    `cosine` is before the margin and `phi` after it, both in float32; `free` and
    `logit` are these with scale and bias. `norm` is the embedding's, `weight_norm` the
    class's (the mean over its sub-centers), and `center` the nearest sub-center.
    """

    cosine: jax.Array
    phi: jax.Array
    free: jax.Array
    logit: jax.Array
    norm: jax.Array
    weight_norm: jax.Array
    center: jax.Array


class Logits(NamedTuple):
    """The map from similarities to logits: a margin, its scale and its strength.

    `scale` is None if embeddings keep their norm. `strength` is the share of the margin
    that applies. A margin that compares examples sees those of all devices of
    `axis_name`.
    """

    margin: Margin
    scale: float | jax.Array | None
    strength: float | jax.Array = 1.0
    axis_name: str | None = None

    def free(self, queries, weights, bias) -> jax.Array:
        """Return the margin-free logits `[B, C]` of any block of classes."""
        return self._scaled(similarities(self.margin, queries, weights), bias)

    def scores(self, queries, weights, bias, phi):
        """Return a block's margin-free logits `[B, C]`, and its terms as negatives.

        `queries` are `as_queries` of the embeddings, and `phi` `[B]` is the targets'.
        """
        similarity = similarities(self.margin, queries, weights)
        changed = self.margin.negatives(similarity, phi[:, None])
        negative = self._scaled(self._blended(similarity, changed), bias)
        return self._scaled(similarity, bias), self.margin.log_terms(negative)

    def target(self, embeddings, weights, bias, noise) -> Target:
        """Return the targets, from their weights `[B, (K,) D]` and bias `[B]`.

        `noise` `[B]` are standard normal draws, for random margins.
        """
        x, x_norm = angles.direction_and_norm(at_least_float32(embeddings))
        w, w_norm = angles.direction_and_norm(weights)
        if weights.ndim == 2:
            cosine, center = jnp.sum(x * w, axis=-1), jnp.zeros(len(x), jnp.int32)
        else:
            cosines = jnp.clip(jnp.sum(x[:, None] * w, axis=-1), -1.0, 1.0)
            cosine, center = self.margin.pool(cosines), jnp.argmax(cosines, axis=-1)
        cosine = jnp.clip(cosine, -1.0, 1.0)
        held = jax.lax.stop_gradient(cosine)
        if self.margin.plus:
            everyone = devices.gather(held, self.axis_name)
            noise = devices.gather(noise, self.axis_name)
            noise = self.margin.assigned(noise, everyone)
            noise = devices.local_rows(noise, len(x), self.axis_name)
        margin = self.margin.for_examples(held, x_norm, noise)
        phi = self._blended(cosine, margin.target(cosine))
        weight_norm = w_norm if weights.ndim == 2 else jnp.mean(w_norm, axis=-1)
        length = jnp.ones_like(x_norm) if margin.normalize_embeddings else x_norm
        if not margin.normalize_weights:
            length = length * w_norm
        free, logit = (self._scaled(c * length, bias) for c in (cosine, phi))
        return Target(cosine, phi, free, logit, x_norm, weight_norm, center)

    def logged(self, target: Target, valid, penalty, num_classes: int):
        """Return `HeadOutput.logged`, from the rows `[B]` and a mask of valid ones."""
        cosine = jnp.where(valid, target.cosine, 0.0)
        logged = {
            "scale": self.scale,
            "strength": self.strength,
            "target_angle": jnp.degrees(angles.angle(cosine)),
            "embedding_norm": target.norm,
            "weight_norm": target.weight_norm,
            "ignored": 1.0 - valid,
            "penalty": None if penalty is None else jnp.where(valid, penalty, 0.0),
        }
        for name in self.margin.initial_statistics(num_classes):
            if jnp.ndim(value := getattr(self.margin, name)) == 0:
                logged.setdefault(name, value)
        return {name: jnp.mean(v) for name, v in logged.items() if v is not None}

    def _blended(self, cosine, changed):
        if changed is cosine:  # plain cosines stay as they are, at no cost
            return cosine
        return cosine + self.strength * (changed - cosine)

    def _scaled(self, similarity, bias):
        logits = similarity if self.scale is None else similarity * self.scale
        return logits if bias is None else logits + bias


def as_queries(margin: Margin, embeddings) -> jax.Array:
    """Return embeddings `[B, D]`, or their directions if the margin normalizes them.

    Their precision stays.
    """
    if not margin.normalize_embeddings:
        return embeddings
    directions, _ = angles.direction_and_norm(at_least_float32(embeddings))
    return directions.astype(embeddings.dtype)


def similarities(margin: Margin, queries, weights) -> jax.Array:
    """Return cosines `[B, C]` of `as_queries` `[B, D]` and weights `[C, (K,) D]`.

    They are multiplied by the norms that the margin keeps. The product is in the
    queries' precision, summed in float32.
    """
    w = weights
    if margin.normalize_weights:
        w, _ = angles.direction_and_norm(w)
    product = jnp.matmul(
        queries,
        w.astype(queries.dtype).reshape(-1, w.shape[-1]).T,
        precision=jax.lax.Precision.HIGHEST,
        preferred_element_type=at_least_float32(queries).dtype,
    )
    if weights.ndim == 2:
        return product
    return margin.pool(product.reshape(len(queries), *weights.shape[:2]))
