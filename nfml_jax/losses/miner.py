"""What a miner is: masks of the pairs and triplets of a batch that take part.

A miner sees distances, whatever the loss's metric. It narrows the positives and
negatives of each anchor once (`pairs`), and the negatives once more for each of the
anchor's positives (`negatives`). Losses of triplets ask for both; losses of pairs get
the pairs that are part of some triplet (`union`).
"""

import dataclasses
from typing import ClassVar

import jax
import jax.numpy as jnp

from nfml_jax.losses.positives import at_column, over_positives


@dataclasses.dataclass(frozen=True)
class Miner:
    """All pairs and all triplets."""

    # Whether `negatives` narrows, and whether it draws.
    by_positive: ClassVar[bool] = False
    random: ClassVar[bool] = False

    def fitted(self, loss, embedding_size: int) -> "Miner":
        """This miner with what it takes from the loss and the embeddings."""
        return self

    def pairs(self, distance, positive, negative) -> tuple[jax.Array, jax.Array]:
        """The masks [A, R] that remain of positives and negatives."""
        return positive, negative

    def negatives(self, distance, at, negative, keys) -> jax.Array:
        """The negatives [A, R] that remain for positives at distance `at` [A].

        `keys` [A] are random, or None unless the miner is.
        """
        return negative

    def union(self, distance, positive, negative, keys=None):
        """The masks [A, R] of pairs that are part of some triplet."""
        distance = jax.lax.stop_gradient(distance)
        positive, negative = self.pairs(distance, positive, negative)
        if not self.by_positive:
            return positive, negative
        references = jnp.arange(distance.shape[1])

        def step(masks, column, number):
            chosen = self.triplets(distance, column, number, negative, keys)
            here = (references == column[:, None]) & jnp.any(chosen, 1, keepdims=True)
            return masks[0] | here, masks[1] | chosen

        nothing = jnp.zeros_like(positive)
        return over_positives(step, positive, (nothing, nothing))

    def triplets(self, distance, column, number, negative, keys) -> jax.Array:
        """The negatives [A, R] for the positives of `column` [A] in step `number`.

        None where the column is past the last reference (see `over_positives`).
        """
        distance = jax.lax.stop_gradient(distance)
        if keys is not None:
            keys = jax.vmap(jax.random.fold_in, (0, None))(keys, number)
        chosen = self.negatives(distance, at_column(distance, column), negative, keys)
        return chosen & (column < distance.shape[1])[:, None]
