"""A batch that is divided between devices, seen as a whole.

`axis_name` is the device axis of a mapped step, or None for one device.
"""

from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
from jax import lax

# This is `jax.Device`, which a type checker can't see in a compiled module.
Device: TypeAlias = Any

# The prefix of parameters that are divided between devices along axis 0.
SPLIT = "split_"


def gather(x: jax.Array, axis_name: str | None) -> jax.Array:
    """Return all devices' rows `[N·B, ...]` of x `[B, ...]`.

    They are in the order of the devices. Its gradient is exact: each device's rows
    receive the gradients of all devices.
    """
    return x if axis_name is None else lax.all_gather(x, axis_name, tiled=True)


def gather_shared(x: jax.Array, axis_name: str | None) -> jax.Array:
    """Return `gather` of x as a value that all devices share, without a gradient.

    `jax.shard_map` lets only such values leave as replicated ones, for example those
    that a memory of embeddings holds.
    """
    x = lax.stop_gradient(x)
    if axis_name is None:
        return x
    everywhere = jnp.zeros((lax.axis_size(axis_name), *x.shape), x.dtype)
    mine = everywhere.at[lax.axis_index(axis_name)].set(x)
    return lax.psum(mine, axis_name).reshape(-1, *x.shape[1:])


def local_places(rows: int, axis_name: str | None) -> jax.Array:
    """Return the places `[rows]` of this device's rows in the gathered batch."""
    return _first_place(rows, axis_name) + jnp.arange(rows)


def local_rows(x: jax.Array, rows: int, axis_name: str | None) -> jax.Array:
    """Return this device's `rows` of the gathered batch x `[N·rows, ...]`."""
    if axis_name is None:
        return x
    return lax.dynamic_slice_in_dim(x, _first_place(rows, axis_name), rows)


def total(x: jax.Array, axis_name: str | None) -> jax.Array:
    """Return the sum of x over devices, without a gradient; for counts and weights."""
    x = lax.stop_gradient(x)
    return x if axis_name is None else lax.psum(x, axis_name)


def weighted_mean(values: jax.Array, weights: jax.Array, axis_name: str | None):
    """Return this device's share of Σ w·v / Σ w over the last axis and all devices.

    `pmean` of the shares is the mean, and weights have no gradient. The result is 0 if
    all weights are.

    Args:
      values: `[..., B]`.
      weights: `[..., B]`.
      axis_name: the device axis, or None.

    >>> values, weights = jnp.array([1.0, 5.0]), jnp.array([3.0, 1.0])
    >>> float(weighted_mean(values, weights, axis_name=None))
    2.0
    """
    weights = lax.stop_gradient(weights)
    devices = 1 if axis_name is None else lax.axis_size(axis_name)
    weight = total(jnp.sum(weights, axis=-1), axis_name)
    # A value of weight 0 may be any finite number.
    summed = jnp.sum(jnp.where(weights > 0.0, weights * values, 0.0), axis=-1)
    return devices * summed / jnp.where(weight > 0.0, weight, 1.0)


def _first_place(rows, axis_name):
    """Return the place of this device's first row in the gathered batch."""
    return 0 if axis_name is None else rows * lax.axis_index(axis_name)
