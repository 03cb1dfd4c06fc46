"""Blocks of a head's classes, and the terms that each block adds to the sum.

A block holds all classes, a chunk of them, a random sample, or one device's share.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from nfml_jax.errors import UserError

# The logarithm of an empty sum. It is finite, so that a block without non-target
# classes has gradient zero instead of NaN.
NOTHING = -1e30

# Split classes are padded to a multiple of this number of rows, so that a checkpoint
# doesn't depend on the number of devices.
SHARES = 128

# The number of a padding row. It is larger than all labels, because padding comes last.
NO_CLASS = 2**31 - 1


class Classes(NamedTuple):
    """A block of classes: weights `[c, ...]`, bias `[c]` or None, and numbers `[c]`.

    `of_labels` needs numbers that increase by one from the first.
    """

    weights: jax.Array
    bias: jax.Array | None
    number: jax.Array


class Sums(NamedTuple):
    """The sums over the non-target classes of each example.

    `others` `[B]` is the logarithm of the sum, and `hardest` `[B]` the largest
    margin-free logit, without gradient.
    """

    others: jax.Array
    hardest: jax.Array


def sums(free, terms, number, labels) -> Sums:
    """Return a block's `Sums`, from its scores `[B, c]` and class numbers `[c]`."""
    negative = other_classes(number, labels)
    others = jax.nn.logsumexp(jnp.where(negative, terms, NOTHING), axis=-1)
    free = jnp.where(negative, lax.stop_gradient(free), NOTHING)
    return Sums(others, jnp.max(free, axis=-1))


def other_classes(number, labels) -> jax.Array:
    """Return a mask `[B, c]` of the classes `[c]` that differ from the labels `[B]`."""
    return (number != labels[:, None]) & (number != NO_CLASS)


def of_labels(classes: Classes, labels, axis_name: str | None = None):
    """Return the weights `[B, ...]` and bias `[B]` or None of the labels' classes.

    With `axis_name`, each device has a share of the classes, in order. All devices ask
    for the same labels, and all of them get every label's weights.
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
    """Return the `Sums` over all devices' classes, from those of each device."""
    if axis_name is None:
        return found
    top, hardest = lax.pmax(lax.stop_gradient(found), axis_name)
    total = lax.psum(jnp.exp(found.others - top), axis_name)
    return Sums(top + jnp.log(total), hardest)


def share_of(count: int, axis_name: str | None) -> jax.Array:
    """Return the class numbers of this device's share, padded to `SHARES` rows.

    `axis_name` None means one device that has all `count` classes.
    """
    rows = -(-count // SHARES) * SHARES
    number = jnp.arange(rows)
    number = jnp.where(number < count, number, NO_CLASS)
    if axis_name is None:
        return number
    parts = lax.axis_size(axis_name)
    if SHARES % parts:
        raise UserError(
            f"The head's classes can't be shared by {parts} devices, because their "
            f"rows are a multiple of {SHARES}; use a number of devices that divides "
            "it, such as 2, 4 or 8."
        )
    return number.reshape(parts, -1)[lax.axis_index(axis_name)]


def sampled(classes: Classes, labels, share: float, key: jax.Array) -> Classes:
    """Return a random `share` of the classes that includes those of the labels `[B]`.

    Partial FC (An et al. 2022, 2203.15565) sums the softmax over the batch's classes
    and a random part of the others, so that a step costs a share of the whole. Its loss
    differs from the loss over all classes. The number of classes depends on shapes
    alone: it is `share` of them, and at least the number of labels.
    """
    total = len(classes.number)
    count = min(total, max(math.ceil(share * total), len(labels)))
    rank = jax.random.uniform(key, (total,))
    rank = jnp.where(classes.number == NO_CLASS, -1.0, rank)
    place = labels - classes.number[0]
    # Classes of other devices are dropped; a negative place would count from the end.
    place = jnp.where(place < 0, total, place)
    rank = rank.at[place].set(2.0, mode="drop")
    drawn = jnp.sort(lax.top_k(rank, count)[1])
    return jax.tree.map(lambda x: x[drawn], classes)
