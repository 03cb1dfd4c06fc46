"""Functions of a flow and its variables: keyed draws, densities by class, and layers.

A program may trace them, so that experiments and trained flows compile the same.
"""

from typing import Any

import jax
import jax.numpy as jnp

from nfml_jax.bijectors import Inverse
from nfml_jax.bijectors.stack import INTERMEDIATES
from nfml_jax.flows.flow import Flow


def class_log_probs(flow: Flow, variables, x: jax.Array, classes: int) -> jax.Array:
    """Return log p(x | class) `[N, classes]` of rows `[N, D]`, for one-hot contexts."""

    def of_class(one_hot):
        return flow.apply(variables, x, jnp.broadcast_to(one_hot, (len(x), classes)))

    # One class after another: all at once would multiply the memory by their number.
    return jax.lax.map(of_class, jnp.eye(classes)).T


def draw(
    flow: Flow, variables, seed, numbers: jax.Array, *given: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Draw `[N, event_dim]` keyed by `numbers [N]`; return also the log-densities.

    A conditional flow is given a context `[N, C]`.
    """
    key = jax.random.key(seed)

    def one(number, *given) -> Any:
        key_of_draw = jax.random.fold_in(key, number)
        return flow.apply(
            variables, key_of_draw, (), *given, method="sample_and_log_prob"
        )

    return jax.vmap(one)(numbers, *given)


def path(flow: Flow, variables, key: jax.Array, n: int) -> jax.Array:
    """Return `n` draws at every layer between the base and the data.

    The result is `[layers + 1, n, event_dim]`. Maps after the stack of layers count as
    part of the last layer, and a flow without a stack has one layer.
    """

    @jax.jit
    def run(variables, key):
        return flow.apply(
            variables, key, n, method="sample_path", mutable=[INTERMEDIATES]
        )

    (z, x), seen = run(variables, key)
    events = jax.tree.leaves(seen)
    if not events:
        return jnp.stack([z, x])
    layers = events[0]
    if isinstance(flow.bijector, Inverse):
        layers = layers[::-1]
    return jnp.concatenate([z[None], layers[:-1], x[None]])
