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


def broadcast_events(
    x, context=None, event_ndim: int = 1
) -> tuple[Array, Array | None]:
    """Return events that have every batch axis, and their context.

    Args:
      x: events `[*A, *event]`, where `event` has `event_ndim` axes.
      context: vectors `[*B, C]`, maps `[*B, *places, C]`, or None. A map has as many
        axes as the events, and `places` are all axes of `event` but the last, or ones.
      event_ndim: the number of axes of an event.

    Returns:
      Events `[*batch, *event]`, where `batch` is what A and B broadcast to as in NumPy,
        and the context as it is, which broadcasts against them.

    Raises:
      UserError: if the events have too few axes, A and B don't broadcast, or the places
        of a map are not those of the events.

    >>> events, context = broadcast_events(jnp.zeros(2), jnp.zeros((3, 1)))
    >>> events.shape
    (3, 2)
    """
    x = as_floating("events", x)
    if x.ndim < event_ndim:
        raise UserError(
            f"events have the shape {list(x.shape)}; expected {event_ndim} axes or "
            "more, since that many are the axes of one event."
        )
    if context is None:
        return x, None
    context = as_floating("contexts", context)
    split = x.ndim - event_ndim
    places = x.shape[split:-1]
    of_map = context.shape[split:-1] if is_map(context, x, event_ndim) else ()
    leading = context.shape[: context.ndim - 1 - len(of_map)]
    try:
        batch = jnp.broadcast_shapes(x.shape[:split], leading)
        fits = jnp.broadcast_shapes(places, of_map) == places
    except ValueError:
        fits = False
    if not fits:
        remedy = "give one context for all events, or one for each"
        if event_ndim > 1:
            remedy += ", or a map of the events' size that has all axes of the events"
        raise UserError(
            f"events {list(x.shape)} and contexts {list(context.shape)} have leading "
            f"axes that don't broadcast; {remedy}."
        ) from None
    if batch != x.shape[:split]:
        x = jnp.broadcast_to(x, (*batch, *x.shape[split:]))
    return x, context


def is_map(context: Array | None, x: Array, event_ndim: int) -> bool:
    """Return whether a context of events `x` is a map, and not a vector.

    A map has as many axes as the events, which have more than one each.
    """
    return context is not None and event_ndim > 1 and context.ndim == x.ndim


def at_places(
    context: Array | None, x: Array, event_ndim: int, own: int = 1
) -> Array | None:
    """Return the context of events of which each has only the last `own` axes of `x`.

    The other axes of an event count as batch then: a vector `[*B, C]` becomes
    `[*B, 1, ..., 1, C]` with as many axes as a map has. A map stays as it is.
    """
    if context is None or own == event_ndim or is_map(context, x, event_ndim):
        return context
    batch = (1,) * (x.ndim - event_ndim - context.ndim + 1) + context.shape[:-1]
    return context.reshape(*batch, *(1,) * (event_ndim - 1), context.shape[-1])


def sum_axes(values: Array, count: int) -> Array:
    """Return the sum of `values` over the last `count` axes."""
    return values.sum(tuple(range(-count, 0))) if count else values
