"""The parts that all objectives share: their batch, their output, what they log."""

import jax
import jax.numpy as jnp
from flax import struct

from nfml_jax.ops.angles import direction_and_norm
from nfml_jax.ops.embeddings import labeled_rows
from nfml_jax.ops.masked_reductions import masked_mean
from nfml_jax.ops.precision import at_least_float32


@struct.dataclass
class LossOutput:
    """The loss of a batch, and scalars to log.

    `loss` `[]` float32 is this device's share of the mean over the global batch, so
    that `pmean` over devices is that mean. `logged` holds scalars by name.

    >>> float(LossOutput(jnp.array(0.5), logged={}).loss)
    0.5
    """

    loss: jax.Array
    logged: dict[str, jax.Array]


def output(loss: jax.Array, logged: dict[str, jax.Array]) -> LossOutput:
    """Return the output of a loss `[]` and of scalars that include `monitored`.

    The loss is NaN if an embedding that takes part isn't finite. Comparisons with NaN
    are false, so that masks would otherwise leave its pairs out silently.
    """
    finite = jnp.isfinite(jax.lax.stop_gradient(logged["embedding_norm"]))
    return LossOutput(jnp.where(finite, loss, jnp.nan), jax.lax.stop_gradient(logged))


def monitored(embeddings: jax.Array, known: jax.Array) -> dict[str, jax.Array]:
    """Return `embedding_norm` and `spread` of the `known` rows of `[B, D]` embeddings.

    `embedding_norm` is the mean norm. `spread` is the root of the summed variance of
    the directions: 0 if all embeddings have one direction, which shows a collapse, and
    1 if their directions cancel.

    >>> embeddings = jnp.array([[2.0, 0.0], [-4.0, 0.0]])
    >>> logged = monitored(embeddings, jnp.array([True, True]))
    >>> {name: float(value) for name, value in logged.items()}
    {'embedding_norm': 3.0, 'spread': 1.0}
    """
    directions, norms = direction_and_norm(embeddings)
    mean = masked_mean(directions.T, known)
    from_mean = jnp.sum((directions - mean) ** 2, axis=-1)
    return {
        "embedding_norm": masked_mean(norms, known),
        "spread": jnp.sqrt(masked_mean(from_mean, known)),
    }


def check_batch(
    embeddings, labels, num_classes: int | None = None
) -> tuple[jax.Array, jax.Array]:
    """Return embeddings `[B, D]` in at least float32, and integer labels `[B]`.

    `num_classes` is given by objectives for which a label is the number of a class. See
    `nfml_jax.ops.labels` for valid labels. A batch without rows becomes one row of
    padding, because the largest of no values isn't defined.

    Raises:
      UserError: for other shapes or types.

    """
    embeddings, labels = labeled_rows(embeddings, labels, num_classes)
    if not len(labels):
        embeddings = jnp.zeros((1, embeddings.shape[1]), embeddings.dtype)
        labels = jnp.full(1, -1, labels.dtype)
    return at_least_float32(embeddings), labels


def pair_masks(labels, place, reference_labels) -> tuple[jax.Array, jax.Array]:
    """Return masks `[A, R]` of the pairs of one class and of the pairs of two classes.

    Args:
      labels: the anchors' labels `[A]`.
      place: the anchors' places `[A]` among the references.
      reference_labels: the references' labels `[R]`.

    Both masks are false for an anchor with itself, and for a negative label.

    >>> labels = jnp.array([0, 0, 1])
    >>> positive, negative = pair_masks(labels, jnp.arange(3), labels)
    >>> positive[0].tolist(), negative[0].tolist()
    ([False, True, False], [False, False, True])

    """
    known = (labels >= 0)[:, None] & (reference_labels >= 0)
    same = labels[:, None] == reference_labels
    itself = place[:, None] == jnp.arange(len(reference_labels))
    return known & same & ~itself, known & ~same
