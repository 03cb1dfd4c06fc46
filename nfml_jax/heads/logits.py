"""Logits of any block of classes, and of the right one with its margin."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from nfml_jax.heads import angles
from nfml_jax.heads.margins.margin import Margin


class Own(NamedTuple):
    """What is known of each example's right class, all [B].

    `cosine` is before the margin and `phi` after it, both in float32, `logit` is the
    latter with scale and bias, `norm` the embedding's, and `centre` the nearest of the
    class's sub-centres.
    """

    cosine: jax.Array
    phi: jax.Array
    logit: jax.Array
    norm: jax.Array
    centre: jax.Array


class Logits(NamedTuple):
    """How similarities become logits: a margin, its scale and its strength.

    `scale` is None where embeddings keep their norm; `strength` is the share of the
    margin that applies.
    """

    margin: Margin
    scale: float | jax.Array | None
    strength: float | jax.Array = 1.0

    def free(self, embeddings, weights, bias) -> jax.Array:
        """Margin-free logits [B, C] of any block of classes."""
        return self._scaled(similarities(self.margin, embeddings, weights), bias)

    def scores(self, embeddings, weights, bias, own: Own):
        """Margin-free logits [B, C] of a block, and its terms as wrong classes."""
        similarity = similarities(self.margin, embeddings, weights)
        changed = self.margin.negatives(similarity, own.phi[:, None])
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
        margin = self.margin.for_examples(held, x_norm, noise)
        phi = self._blended(cosine, margin.target(cosine))
        similarity = phi if margin.normalise_embeddings else phi * x_norm
        if not margin.normalise_weights:
            similarity = similarity * w_norm
        return Own(cosine, phi, self._scaled(similarity, bias), x_norm, centre)

    def _blended(self, cosine, changed):
        if changed is cosine:  # plain cosines stay as they are, at no cost
            return cosine
        return cosine + self.strength * (changed - cosine)

    def _scaled(self, similarity, bias):
        logits = similarity if self.scale is None else similarity * self.scale
        return logits if bias is None else logits + bias


def similarities(margin: Margin, embeddings, weights) -> jax.Array:
    """Cosines [B, C] of embeddings [B, D] and weights [C, D] or [C, K, D].

    Times the norms that the margin keeps. The product is in the embeddings' precision,
    summed in float32.
    """
    x, w = at_least_float32(embeddings), weights
    if margin.normalise_embeddings:
        x, _ = angles.direction_and_norm(x)
    if margin.normalise_weights:
        w, _ = angles.direction_and_norm(w)
    product = jnp.matmul(
        x.astype(embeddings.dtype),
        w.astype(embeddings.dtype).reshape(-1, w.shape[-1]).T,
        precision=jax.lax.Precision.HIGHEST,
        preferred_element_type=x.dtype,
    )
    if weights.ndim == 2:
        return product
    return margin.pool(product.reshape(len(x), *weights.shape[:2]))


def at_least_float32(values: jax.Array) -> jax.Array:
    """Values in float32, or float64 if they are."""
    return values.astype(jnp.promote_types(values.dtype, jnp.float32))
