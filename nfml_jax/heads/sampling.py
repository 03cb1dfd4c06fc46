"""A share of the classes, drawn anew at each step: An et al. 2022 (2203.15565).

Partial FC sums the softmax over the batch's own classes and some of the others, so that
a step costs a share of the whole; its loss is another than that of all classes.
"""

import math

import jax
import jax.numpy as jnp
from jax import lax

from nfml_jax.heads.classes import NO_CLASS, Classes


def sampled(classes: Classes, labels, share: float, key: jax.Array) -> Classes:
    """A `share` of the classes, all of the labels' [B] that are among them included.

    Their number depends on shapes alone: `share` of them, but enough for the labels.
    """
    total = len(classes.number)
    count = min(total, max(math.ceil(share * total), len(labels)))
    rank = jax.random.uniform(key, (total,))
    rank = jnp.where(classes.number == NO_CLASS, -1.0, rank)
    place = labels - classes.number[0]
    # What isn't here is dropped; a negative place would count from the end.
    place = jnp.where(place < 0, total, place)
    rank = rank.at[place].set(2.0, mode="drop")
    drawn = jnp.sort(lax.top_k(rank, count)[1])
    return jax.tree.map(lambda x: x[drawn], classes)
