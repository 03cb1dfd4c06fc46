"""All randomness from one root key: `fold_in` of a named purpose, then of numbers.

No key is split or carried from step to step, so there is no random state to save: a
resumed run draws what the uninterrupted run would have drawn.
"""

import zlib

import jax


def root_key(seed: int) -> jax.Array:
    """Return the root key of a run, from which all others are derived."""
    return jax.random.key(seed)


def purpose_key(key: jax.Array, purpose: str) -> jax.Array:
    """Return the key of one named purpose ("init", "order", "loss", ...)."""
    return jax.random.fold_in(key, zlib.crc32(purpose.encode()) & 0x7FFFFFFF)


def row_keys(key: jax.Array, step: jax.Array, rows: jax.Array) -> jax.Array:
    """Return a key for each example of a step.

    `rows [B]` are positions in the *global* batch, so the draws of an example don't
    depend on the number of devices that share the batch.
    """
    step_key = jax.random.fold_in(key, step)
    return jax.vmap(jax.random.fold_in, (None, 0))(step_key, rows)


def shared_keys(seed, step: jax.Array, *purposes: str) -> dict[str, jax.Array]:
    """Return a key for each purpose at a step, by its name, the same on every device.

    These keys serve draws for a whole batch, or for a row by its position in it.
    """
    return {
        purpose: jax.random.fold_in(purpose_key(root_key(seed), purpose), step)
        for purpose in purposes
    }
