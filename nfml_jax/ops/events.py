"""Events and contexts as arrays of floats whose batches broadcast."""

import jax
import jax.numpy as jnp

from nfml_jax.errors import UserError

Array = jax.Array


def as_floating(name: str, values) -> Array:
    """Return numbers as an array of floats, in the precision that they have.

    Integers get the default precision.

    Raises:
      UserError: for an array without axes, and for values that aren't real numbers.
    """
    try:
        array = jnp.asarray(values)
    except (TypeError, ValueError):
        raise UserError(
            f"{name} are a {type(values).__name__}, not an array of numbers; give "
            "real numbers."
        ) from None
    real = jnp.issubdtype(array.dtype, jnp.floating)
    exact = jnp.issubdtype(array.dtype, jnp.integer) or array.dtype == jnp.bool_
    if not (real or exact):
        raise UserError(f"{name} are of type {array.dtype}; give real numbers.")
    if array.ndim == 0:
        raise UserError(
            f"{name} are one number without an axis; expected coordinates along "
            "the last axis."
        )
    return array if real else array.astype(jnp.zeros(()).dtype)


def broadcast_events(x, context=None) -> tuple[Array, Array | None]:
    """Return events that have every batch axis, and their context.

    Args:
      x: events `[*A, D]`.
      context: contexts `[*B, C]`, or None.

    Returns:
      Events `[*batch, D]`, where `batch` is what A and B broadcast to as in NumPy, and
        the context as it is, which broadcasts against them.

    Raises:
      UserError: if A and B don't broadcast.

    >>> events, context = broadcast_events(jnp.zeros(2), jnp.zeros((3, 1)))
    >>> events.shape
    (3, 2)
    """
    x = as_floating("events", x)
    if context is None:
        return x, None
    context = as_floating("contexts", context)
    try:
        batch = jnp.broadcast_shapes(x.shape[:-1], context.shape[:-1])
    except ValueError:
        raise UserError(
            f"events {list(x.shape)} and contexts {list(context.shape)} have leading "
            "axes that don't broadcast; give one context for all events, or one for "
            "each."
        ) from None
    if batch != x.shape[:-1]:
        x = jnp.broadcast_to(x, (*batch, x.shape[-1]))
    return x, context
