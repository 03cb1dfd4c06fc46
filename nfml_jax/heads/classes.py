"""Some of a head's classes, and what each of several blocks of them adds to the sum.

A block is all classes, a chunk of them, a sample, or those of one device.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from nfml_jax.errors import UserError

# Stands for the logarithm of nothing: finite, so that a block without any wrong class
# has no gradient instead of NaN.
NOTHING = -1e30

# Where classes are split their rows are filled up to a multiple of this, so that what a
# run has saved doesn't depend on how many devices it had.
SHARES = 128

# No class: of rows that only fill a block up. Beyond all labels, as they come last.
NO_CLASS = 2**31 - 1


class Classes(NamedTuple):
    """Some of the classes: weights [c, ...], bias [c] or None, and numbers [c].

    What `of_labels` finds by number must lie in order, from a first class on.
    """

    weights: jax.Array
    bias: jax.Array | None
    number: jax.Array


class Sums(NamedTuple):
    """Of the wrong classes: the logarithm of their sum [B], and the largest of their
    margin-free logits [B], without gradient."""

    others: jax.Array
    rival: jax.Array


def sums(free, terms, number, labels) -> Sums:
    """The `Sums` of one block, from its scores [B, c] and its classes' numbers [c]."""
    wrong = wrong_classes(number, labels)
    others = jax.nn.logsumexp(jnp.where(wrong, terms, NOTHING), axis=-1)
    free = jnp.where(wrong, lax.stop_gradient(free), NOTHING)
    return Sums(others, jnp.max(free, axis=-1))


def wrong_classes(number, labels) -> jax.Array:
    """Which of the classes with these numbers [c] are others than labels [B]: [B, c]"""
    return (number != labels[:, None]) & (number != NO_CLASS)


def of_labels(classes: Classes, labels, axis_name: str | None = None):
    """The weights [B, ...] and bias [B] (or None) of the labels' classes.

    With `axis_name` every device has some of the classes, in order, and asks for the
    same labels; all get all.
    """
    place = labels - classes.number[0]
    if axis_name is None:
        return jax.tree.map(lambda x: x[place], classes[:2])
    here = (place >= 0) & (place < len(classes.number))

    def found(x):
        mine = x[jnp.where(here, place, 0)]
        mine = jnp.where(here.reshape(-1, *[1] * (x.ndim - 1)), mine, 0.0)
        return lax.psum(mine, axis_name)

    return jax.tree.map(found, classes[:2])


def over_devices(found: Sums, axis_name: str | None) -> Sums:
    """The `Sums` of all devices' classes, from those of each."""
    if axis_name is None:
        return found
    top, rival = lax.pmax(lax.stop_gradient(found), axis_name)
    total = lax.psum(jnp.exp(found.others - top), axis_name)
    return Sums(top + jnp.log(total), rival)


def share_of(count: int, axis_name: str | None) -> jax.Array:
    """The numbers of this device's share of `count` classes, filled up to `SHARES`.

    `axis_name` None is one device that has them all.
    """
    rows = -(-count // SHARES) * SHARES
    number = jnp.arange(rows)
    number = jnp.where(number < count, number, NO_CLASS)
    if axis_name is None:
        return number
    parts = lax.axis_size(axis_name)
    if SHARES % parts:
        raise UserError(
            f"The head's classes are to be shared by {parts} devices, but their rows "
            f"are a multiple of {SHARES}; take a number of devices that divides it, "
            "such as 2, 4 or 8."
        )
    return number.reshape(parts, -1)[lax.axis_index(axis_name)]
