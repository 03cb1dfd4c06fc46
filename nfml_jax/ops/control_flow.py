"""Loops whose carries may start as constants, on one device or on several.

Within `jax.shard_map`, a carry that varies between devices in the end must vary from
the start. A library can't know whether it is called from there.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

PyTree = Any


def while_loop(unfinished: Callable, step: Callable, start: PyTree) -> PyTree:
    """Return `lax.while_loop` from a start that varies as its result does."""
    return lax.while_loop(unfinished, step, _carried(step, start))


def fori_loop(first: int, end, step: Callable, start: PyTree) -> PyTree:
    """Return `lax.fori_loop` from a start that varies as its result does."""
    number = jnp.asarray(first)
    return lax.fori_loop(
        first, end, step, _carried(lambda state: step(number, state), start)
    )


def scan(step: Callable, start: PyTree, xs: PyTree, *, reverse: bool = False):
    """Return `lax.scan` from a start that varies as its result does."""
    one = jax.tree.map(lambda x: x[0], xs)
    start = _carried(lambda state: step(state, one)[0], start)
    return lax.scan(step, start, xs, reverse=reverse)


def vary_as(tree: PyTree, like: PyTree) -> PyTree:
    """Return `tree`, varying over every device axis that `like` varies over."""
    axes = frozenset().union(*map(axes_of, jax.tree.leaves(like)))

    def vary(x):
        lacking = tuple(axes - axes_of(x))
        return lax.pcast(jnp.asarray(x), lacking, to="varying") if lacking else x

    return jax.tree.map(vary, tree)


def shared_as(tree: PyTree, like: PyTree) -> PyTree:
    """Return `tree`, on which devices agree, as shared where the leaf of `like` is."""

    def share(x, like):
        axes = tuple(axes_of(x) - axes_of(like))
        return lax.pmean(x, axes) if axes else x

    return jax.tree.map(share, tree, like)


def _carried(step, start):
    """Return `start`, varying over the axes that the result of a step varies over."""
    # A closure, because `start` as an argument would lose the axes it varies over.
    return vary_as(start, jax.eval_shape(lambda: step(start)))


def axes_of(x) -> frozenset:
    """Return the device axes that an array or its abstract value varies over.

    None are known outside `jax.shard_map`, or inside if it doesn't check.
    """
    return axes_of_aval(x if isinstance(x, jax.ShapeDtypeStruct) else jax.typeof(x))


def axes_of_aval(aval) -> frozenset:
    """Return `axes_of` of an abstract value."""
    kind = getattr(aval, "manual_axis_type", None)
    # The first releases of JAX 0.10 call it `vma`; outside shard_map there is neither.
    return getattr(kind, "varying", None) or getattr(aval, "vma", None) or frozenset()
