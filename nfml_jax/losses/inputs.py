"""What every objective asks of its batch."""

import jax
import jax.numpy as jnp

from nfml_jax.ops.embeddings import at_least_float32, labelled_rows


def check_batch(
    embeddings, labels, num_classes: int | None = None
) -> tuple[jax.Array, jax.Array]:
    """Return embeddings [B, D] in at least float32, and integer labels [B].

    See `nfml_jax.ops.labels` for what may be a label. `num_classes` is given by
    objectives for which a label is the number of a class. A batch without rows becomes
    one row of padding, for the largest of nothing isn't defined.

    Raises:
      UserError: for other shapes or types.
    """
    embeddings, labels = labelled_rows(embeddings, labels, num_classes)
    if not len(labels):
        embeddings = jnp.zeros((1, embeddings.shape[1]), embeddings.dtype)
        labels = jnp.full(1, -1, labels.dtype)
    return at_least_float32(embeddings), labels


def pair_masks(labels, place, reference_labels) -> tuple[jax.Array, jax.Array]:
    """Return which pairs [A, R] of anchors and references are of one class, and of two.

    labels and place [A] are the anchors', place where they are among the references;
    neither is true for an anchor with itself, nor where a label is negative.
    """
    known = (labels >= 0)[:, None] & (reference_labels >= 0)
    same = labels[:, None] == reference_labels
    itself = place[:, None] == jnp.arange(len(reference_labels))
    return known & same & ~itself, known & ~same
