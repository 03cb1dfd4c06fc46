"""Ways to sum the softmax over the classes, with equal values and gradients.

A summation is `(embeddings [B, D], weights [C, ...], bias [C] or None, labels [B],
target, scores) -> Summed`. `target(embeddings, weights[labels], bias[labels])` gives
what is to be known of the right classes, a pytree of [B, ...]; `scores(embeddings,
weights, bias, own)` takes it and any block of c classes and gives two [B, c]: the
margin-free logits, and the logarithms of what wrong classes add to the sum. Labels are
in range here. A new summation is a function and a line in the table.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp


class Summed(NamedTuple):
    """What a summation gives.

    `own` is `target`'s, `others` [B] the logarithm of the sum over the wrong classes,
    and `correct` [B] whether the label's margin-free logit is the largest.
    """

    own: Any
    others: jax.Array
    correct: jax.Array


def dense(embeddings, weights, bias, labels, target, scores) -> Summed:
    """Holds all logits [B, C] at once; the label's are left out of the sum."""
    own = target(embeddings, weights[labels], None if bias is None else bias[labels])
    free, terms = scores(embeddings, weights, bias, own)
    correct = jnp.argmax(free, axis=-1) == labels
    terms = terms.at[jnp.arange(labels.shape[0]), labels].set(-jnp.inf)
    return Summed(own, jax.nn.logsumexp(terms, axis=-1), correct.astype(terms.dtype))


SUMMATIONS = {"dense": dense}
