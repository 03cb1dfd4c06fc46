"""What is worth watching of any batch of embeddings: a collapse is seen in it."""

import jax
import jax.numpy as jnp

from nfml_jax.ops.angles import direction_and_norm
from nfml_jax.ops.masked import masked_mean


def watched(embeddings: jax.Array, known: jax.Array) -> dict[str, jax.Array]:
    """`embedding_norm` and `spread` of embeddings [B, D] where known [B] is true.

    The mean norm; and from 0, where all embeddings have one direction, to 1, where
    their directions cancel, the root of the summed variance of these.
    """
    directions, norms = direction_and_norm(embeddings)
    mean = masked_mean(directions.T, known)
    from_mean = jnp.sum((directions - mean) ** 2, axis=-1)
    return {
        "embedding_norm": masked_mean(norms, known),
        "spread": jnp.sqrt(masked_mean(from_mean, known)),
    }
