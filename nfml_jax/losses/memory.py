"""Cross-batch memory: embeddings of past batches as further references.

Wang et al. 2020 (1912.06798): embeddings drift slowly once training is under way, so
those of the last steps are as good as fresh ones, and cost only their distances.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from nfml_jax.errors import UserError


class Memory(nn.Module):
    """The last `rows` embeddings and labels, in the collection "memory".

    A ring: `embeddings` [M, D], `labels` [M] (-1 where nothing is yet) and the `next`
    row to write; the same on all devices.
    """

    rows: int

    @nn.compact
    def __call__(self, embeddings: jax.Array, labels: jax.Array):
        """Embeddings [M, D] and labels [M] from before this batch, which it then adds.

        embeddings [B, D] and labels [B] are the whole batch's, without gradient. Adds
        nothing where the collection is not mutable.
        """
        shape = (self.rows, embeddings.shape[-1])
        kept = self.variable("memory", "embeddings", jnp.zeros, shape, embeddings.dtype)
        kept_labels = self.variable(
            "memory", "labels", jnp.full, (self.rows,), -1, labels.dtype
        )
        if not jnp.can_cast(labels.dtype, kept_labels.value.dtype):
            raise UserError(
                f"The memory holds labels of type {kept_labels.value.dtype}, but got "
                f"labels of type {labels.dtype}; give it the type that it began with."
            )
        place = self.variable("memory", "next", jnp.zeros, (), jnp.int32)
        before = kept.value, kept_labels.value
        if self.is_mutable_collection("memory") and not self.is_initializing():
            # Of a batch that is larger than the memory, the last rows.
            embeddings, labels = embeddings[-self.rows :], labels[-self.rows :]
            rows = (place.value + jnp.arange(len(labels))) % self.rows
            kept.value = kept.value.at[rows].set(embeddings.astype(kept.value.dtype))
            kept_labels.value = kept_labels.value.at[rows].set(labels)
            place.value = (place.value + len(labels)) % self.rows
        return before
