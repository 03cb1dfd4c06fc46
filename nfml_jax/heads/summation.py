"""Ways to sum the softmax over the classes, with equal values and gradients.

A summation is `(embeddings [B, D], weights [C, D], bias [C] or None, labels [B],
scores, target) -> Summed`, where `scores(embeddings, weights, bias) -> [B, C]` gives
the margin-free logits of any block of classes, and `target(embeddings,
weights[labels], bias[labels]) -> (cosine [B], logit [B])` the right class's cosine and
its logit with the margin. Labels are in range here. A new summation is a function and a
line in the table.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp


class Summed(NamedTuple):
    """What a summation gives for each example, all [B]."""

    loss: jax.Array
    cosine: jax.Array
    correct: jax.Array


def dense(embeddings, weights, bias, labels, scores, target) -> Summed:
    """Holds all logits [B, C] at once; the margin touches one entry of each row."""
    logits = scores(embeddings, weights, bias)
    cosine, target_logit = target(
        embeddings, weights[labels], None if bias is None else bias[labels]
    )
    correct = jnp.argmax(logits, axis=-1) == labels
    logits = logits.at[jnp.arange(labels.shape[0]), labels].set(target_logit)
    loss = jax.nn.logsumexp(logits, axis=-1) - target_logit
    return Summed(loss, cosine, correct.astype(loss.dtype))


SUMMATIONS = {"dense": dense}
