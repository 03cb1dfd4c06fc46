"""Loops whose carries may start as constants, on one device or as one of several.

Within `jax.shard_map` a carry has to vary between devices from the start if it does in
the end; a library cannot know whether it is called from there.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

PyTree = Any


def while_loop(unfinished: Callable, step: Callable, start: PyTree) -> PyTree:
    """`lax.while_loop`."""
    return lax.while_loop(unfinished, step, _carried(step, start))


def fori_loop(first: int, end, step: Callable, start: PyTree) -> PyTree:
    """`lax.fori_loop`."""
    number = jnp.asarray(first)
    return lax.fori_loop(
        first, end, step, _carried(lambda state: step(number, state), start)
    )


def scan(step: Callable, start: PyTree, xs: PyTree, *, reverse: bool = False):
    """`lax.scan`."""
    one = jax.tree.map(lambda x: x[0], xs)
    start = _carried(lambda state: step(state, one)[0], start)
    return lax.scan(step, start, xs, reverse=reverse)


def vary_as(tree: PyTree, like: PyTree) -> PyTree:
    """`tree`, varying over all device axes that anything of `like` does."""
    axes = frozenset().union(*map(axes_of, jax.tree.leaves(like)))

    def vary(x):
        lacking = tuple(axes - axes_of(x))
        return lax.pcast(jnp.asarray(x), lacking, to="varying") if lacking else x

    return jax.tree.map(vary, tree)


def shared_as(tree: PyTree, like: PyTree) -> PyTree:
    """`tree`, whose devices agree, known to be shared where `like`'s leaf is."""

    def share(x, like):
        axes = tuple(axes_of(x) - axes_of(like))
        return lax.pmean(x, axes) if axes else x

    return jax.tree.map(share, tree, like)


def _carried(step, start):
    # Closed over: as an argument `start` would lose what it varies over.
    return vary_as(start, jax.eval_shape(lambda: step(start)))


def axes_of(x) -> frozenset:
    """The device axes that an array or its abstract value varies over.

    None are known outside `jax.shard_map`, nor where it doesn't check.
    """
    aval = x if isinstance(x, jax.ShapeDtypeStruct) else jax.typeof(x)
    kind = getattr(aval, "manual_axis_type", None)
    # JAX 0.10's first releases call it `vma`; outside shard_map there is neither.
    return getattr(kind, "varying", None) or getattr(aval, "vma", None) or frozenset()
