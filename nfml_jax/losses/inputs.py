"""What every objective asks of its batch."""

import jax
import jax.numpy as jnp

from nfml_jax.errors import UserError


def check_batch(embeddings, labels) -> tuple[jax.Array, jax.Array]:
    """Embeddings [B, D] in at least float32 and labels [B] of whole numbers.

    Raises `UserError` for other shapes or types.
    """
    embeddings, labels = jnp.asarray(embeddings), jnp.asarray(labels)
    if embeddings.ndim != 2 or labels.shape != embeddings.shape[:1]:
        raise UserError(
            f"The loss got embeddings {list(embeddings.shape)} and labels "
            f"{list(labels.shape)}; expected [B, D] and [B], a label for each row."
        )
    if not jnp.issubdtype(labels.dtype, jnp.integer):
        raise UserError(
            f"The loss got labels of type {labels.dtype}; expected whole numbers, one "
            "for each class and -1 for rows to leave out."
        )
    kind = jnp.promote_types(embeddings.dtype, jnp.float32)
    return embeddings.astype(kind), labels.astype(jnp.int32)


def pair_masks(labels, place, reference_labels) -> tuple[jax.Array, jax.Array]:
    """Which pairs [A, R] of anchors and references are of one class, and of two.

    labels and place [A] are the anchors', place where they are among the references;
    neither is true for an anchor with itself, nor where a label is negative.
    """
    known = (labels >= 0)[:, None] & (reference_labels >= 0)
    same = labels[:, None] == reference_labels
    itself = place[:, None] == jnp.arange(len(reference_labels))
    return known & same & ~itself, known & ~same
