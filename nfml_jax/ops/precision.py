"""The precision that maps compute in, whatever they are given."""

import jax
import jax.numpy as jnp

Array = jax.Array


def at_least_float32(x) -> Array:
    """`x` in float32, or in float64 where it is that."""
    x = jnp.asarray(x)
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


def as_events(x) -> tuple[Array, jnp.dtype]:
    """`x` in the precision to compute in, and the precision to return it in.

    Half precision returns as it came; integers and booleans return as float32.
    """
    x = jnp.asarray(x)
    computed = at_least_float32(x)
    floating = jnp.issubdtype(x.dtype, jnp.floating)
    return computed, x.dtype if floating else computed.dtype
