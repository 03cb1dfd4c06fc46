"""The border for embeddings: arrays of users become floating-point rows."""

import jax
import jax.numpy as jnp
import numpy as np

from nfml_jax.errors import UserError
from nfml_jax.ops.labels import row_labels


def embedding_rows(embeddings, name: str = "embeddings") -> jax.Array:
    """Return embeddings `[B, D]` as they are; integers and booleans become float32.

    Raises:
      UserError: for another rank, for text or complex numbers, and for finite numbers
        on the host that are beyond the range of JAX's floats.

    >>> embedding_rows([[1, 2], [3, 4]]).dtype
    dtype('float32')
    """
    if not isinstance(embeddings, jax.Array):
        embeddings = _from_host(embeddings, name)
    real = not jnp.issubdtype(embeddings.dtype, jnp.complexfloating)
    if embeddings.ndim != 2 or not embeddings.shape[1] or not real:
        raise _refusal(embeddings.shape, embeddings.dtype, name)
    if not jnp.issubdtype(embeddings.dtype, jnp.floating):
        return embeddings.astype(jnp.float32)
    return embeddings


def labeled_rows(
    embeddings, labels, num_classes: int | None = None
) -> tuple[jax.Array, jax.Array]:
    """Return `embedding_rows` `[B, D]` and their `row_labels` `[B]`.

    Raises:
      UserError: for embeddings or labels that don't fit, or not each other.
    """
    embeddings = embedding_rows(embeddings)
    return embeddings, row_labels(labels, len(embeddings), num_classes=num_classes)


def _from_host(embeddings, name) -> jax.Array:
    """Return an array of JAX from an array or a list on the host."""
    try:
        with np.errstate(over="ignore"):  # an error below reports it
            values = jnp.asarray(embeddings)
    except (TypeError, ValueError, OverflowError):
        shape = np.shape(embeddings) if hasattr(embeddings, "dtype") else ()
        kind = getattr(embeddings, "dtype", type(embeddings).__name__)
        raise _refusal(shape, kind, name) from None
    if getattr(embeddings, "dtype", None) == np.float64 != values.dtype:
        sizes = np.abs(np.asarray(embeddings))
        largest = sizes.max(initial=0.0, where=np.isfinite(sizes))
        if largest > float(jnp.finfo(values.dtype).max):
            raise UserError(
                f"{name} reach {largest:g}, beyond the range of {values.dtype}; divide "
                "them by a number, or set jax_enable_x64."
            )
    return values


def _refusal(shape, kind, name) -> UserError:
    """Return the error for embeddings of another shape or type."""
    return UserError(
        f"{name} have shape {list(shape)} and type {kind}; expected one row of real "
        "numbers for each example, [B, D]."
    )
