"""The precision that maps compute in, whatever their input has."""

import jax
import jax.numpy as jnp

Array = jax.Array


def at_least_float32(x) -> Array:
    """Return `x` in float32, or in float64 if it has that precision."""
    x = jnp.asarray(x)
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


def as_events(x) -> tuple[Array, jnp.dtype]:
    """Return `x` in the precision to compute in, and the type to return results in.

    Results for floating-point input have its type; for integers and booleans they are
    float32.
    """
    x = jnp.asarray(x)
    computed = at_least_float32(x)
    floating = jnp.issubdtype(x.dtype, jnp.floating)
    return computed, x.dtype if floating else computed.dtype
