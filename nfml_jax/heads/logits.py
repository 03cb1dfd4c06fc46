"""Logits of any block of classes, and of the right one with its margin."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from nfml_jax.heads.margins.margin import Margin
from nfml_jax.ops import angles, devices
from nfml_jax.ops.embeddings import at_least_float32


class Own(NamedTuple):
    """What is known of each example's right class, all [B].

    `cosine` is before the margin and `phi` after it, both in float32, `free` and
    `logit` are these with scale and bias, `norm` is the embedding's, `weight_norm` the
    class's (the mean of its sub-centres'), and `centre` the nearest of these.
    """

    cosine: jax.Array
    phi: jax.Array
    free: jax.Array
    logit: jax.Array
    norm: jax.Array
    weight_norm: jax.Array
    centre: jax.Array


class Logits(NamedTuple):
    """How similarities become logits: a margin, its scale and its strength.

    `scale` is None where embeddings keep their norm; `strength` is the share of the
    margin that applies; examples of all devices of `axis_name` are compared.
    """

    margin: Margin
    scale: float | jax.Array | None
    strength: float | jax.Array = 1.0
    axis_name: str | None = None

    def free(self, queries, weights, bias) -> jax.Array:
        """Margin-free logits [B, C] of any block of classes."""
        return self._scaled(similarities(self.margin, queries, weights), bias)

    def scores(self, queries, weights, bias, phi):
        """Margin-free logits [B, C] of a block, and its terms as wrong classes.

        `queries` are `as_queries` of the embeddings, `phi` [B] is of the right classes.
        """
        similarity = similarities(self.margin, queries, weights)
        changed = self.margin.negatives(similarity, phi[:, None])
        wrong = self._scaled(self._blended(similarity, changed), bias)
        return self._scaled(similarity, bias), self.margin.log_terms(wrong)

    def target(self, embeddings, weights, bias, noise) -> Own:
        """The right classes, from their own weights [B, D] or [B, K, D] and bias [B].

        `noise` [B] are standard normal draws, for margins that are random.
        """
        x, x_norm = angles.direction_and_norm(at_least_float32(embeddings))
        w, w_norm = angles.direction_and_norm(weights)
        if weights.ndim == 2:
            cosine, centre = jnp.sum(x * w, axis=-1), jnp.zeros(len(x), jnp.int32)
        else:
            cosines = jnp.clip(jnp.sum(x[:, None] * w, axis=-1), -1.0, 1.0)
            cosine, centre = self.margin.pool(cosines), jnp.argmax(cosines, axis=-1)
        cosine = jnp.clip(cosine, -1.0, 1.0)
        held = jax.lax.stop_gradient(cosine)
        if self.margin.plus:
            noise, farness = (devices.gather(v, self.axis_name) for v in (noise, held))
            noise = self.margin.farthest_first(noise, farness)
            noise = devices.mine(noise, len(x), self.axis_name)
        margin = self.margin.for_examples(held, x_norm, noise)
        phi = self._blended(cosine, margin.target(cosine))
        weight_norm = w_norm if weights.ndim == 2 else jnp.mean(w_norm, axis=-1)
        length = jnp.ones_like(x_norm) if margin.normalise_embeddings else x_norm
        if not margin.normalise_weights:
            length = length * w_norm
        free, logit = (self._scaled(c * length, bias) for c in (cosine, phi))
        return Own(cosine, phi, free, logit, x_norm, weight_norm, centre)

    def _blended(self, cosine, changed):
        if changed is cosine:  # plain cosines stay as they are, at no cost
            return cosine
        return cosine + self.strength * (changed - cosine)

    def _scaled(self, similarity, bias):
        logits = similarity if self.scale is None else similarity * self.scale
        return logits if bias is None else logits + bias


def as_queries(margin: Margin, embeddings) -> jax.Array:
    """What of embeddings [B, D] is multiplied by weights, in their own precision."""
    if not margin.normalise_embeddings:
        return embeddings
    directions, _ = angles.direction_and_norm(at_least_float32(embeddings))
    return directions.astype(embeddings.dtype)


def similarities(margin: Margin, queries, weights) -> jax.Array:
    """Cosines [B, C] of `as_queries` [B, D] and weights [C, D] or [C, K, D].

    Times the norms that the margin keeps. The product is in the queries' precision,
    summed in float32.
    """
    w = weights
    if margin.normalise_weights:
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
