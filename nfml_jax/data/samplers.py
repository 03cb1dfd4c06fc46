"""Samplers: the orders in which epochs visit the training examples.

A sampler gives for an epoch's key the examples of its steps, one batch after the other,
as a pure function under `jit`. So a step's batch depends only on the step, and an
interrupted run continues as if it had not been interrupted.
"""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from nfml_jax.errors import UserError
from nfml_jax.ops.checks import check_integer
from nfml_jax.ops.labels import check_labels


class Sampler(Protocol):
    """The contract: `steps` batches an epoch, cut one after the other from `order`."""

    @property
    def steps(self) -> int:
        """The number of batches in an epoch."""
        ...

    def order(self, key: jax.Array) -> jax.Array:
        """Return the examples of the key's epoch, int32 `[>= steps * batch_size]`."""
        ...


@dataclass(frozen=True)
class Shuffled:
    """Every example once in random order, without the last incomplete batch.

    A batch of all examples has no order, and drawing one would take as long as a step
    of a small model.
    """

    examples: int
    batch_size: int

    @property
    def steps(self) -> int:
        return self.examples // self.batch_size

    def order(self, key):
        if self.batch_size == self.examples:
            return jnp.arange(self.examples)
        return jax.random.permutation(key, self.examples)


@dataclass(frozen=True)
class Sequential:
    """Every example in the given order, the same in every epoch.

    The last batch is filled up with the first examples.
    """

    examples: int
    batch_size: int

    @property
    def steps(self) -> int:
        return -(-self.examples // self.batch_size)

    def order(self, key):
        return jnp.arange(self.steps * self.batch_size) % self.examples


class ByClass:
    """Batches of P classes with K examples each; `batch_size` = P × K.

    An epoch puts each class's examples in random order and cuts them into groups of K,
    the last one filled up from the first: every example is visited, and of a class of n
    ⌈n/K⌉ K - n of them twice. Each batch takes P groups at random: more likely of a
    class with many left, and certainly of one that would otherwise be left over, so
    that no batch has two groups of one class unless the class has more groups than the
    epoch has batches, or there are fewer than P classes. Incomplete last batches are
    filled up with further groups of other classes.

    Rows lie group by group: a device's share holds complete groups if P is a multiple
    of the number of devices. `balanced` takes equally many groups of each class, so
    that an epoch has about as many examples as the data: it visits small classes more
    than once and a part of the large ones, another one in each epoch.
    """

    def __init__(self, labels, batch_size: int, per_class: int, balanced=False):
        _, self._number, self._sizes = np.unique(
            labels, return_inverse=True, return_counts=True
        )
        self._per_class, self._parts = per_class, batch_size // per_class
        sizes, classes = self._sizes, len(self._sizes)
        groups = -(-sizes // per_class)
        if balanced:
            groups = np.full(classes, -(-len(labels) // (classes * per_class)))
        self.steps = int(-(-groups.sum() // self._parts))
        # A class that a batch must take several times counts as several shares.
        shares = np.maximum(-(-groups // self.steps), -(-self._parts // classes))
        cuts = [np.arange(s + 1) * g // s for g, s in zip(groups, shares, strict=True)]
        self._class = np.repeat(np.arange(classes), shares)
        self._begin = np.concatenate([c[:-1] for c in cuts])
        self._groups = np.concatenate([np.diff(c) for c in cuts])
        self.most_groups = int(shares.max())

    def order(self, key):
        within, among, places = (jax.random.fold_in(key, i) for i in range(3))
        shuffled = jax.random.permutation(within, len(self._number))
        by_class = shuffled[jnp.argsort(_int32(self._number)[shuffled], stable=True)]
        share, turn = self._deal(among, places)
        # [steps, P, K]: a group's places in its class's order, which wraps around.
        turn = (_int32(self._begin)[share] + turn)[..., None]
        place = turn * self._per_class + jnp.arange(self._per_class)
        class_ = _int32(self._class)[share][..., None]
        first = _int32(np.cumsum(self._sizes) - self._sizes)
        place = first[class_] + place % _int32(self._sizes)[class_]
        return by_class[place].ravel()

    def _deal(self, key, places):
        """Return the shares of each batch, and the count of their earlier uses."""
        groups = _int32(self._groups)

        def batch(taken, step):
            left = groups - taken
            noise = jax.random.gumbel(jax.random.fold_in(key, step), left.shape)
            # The largest are a draw without replacement, in proportion to the groups
            # left.
            score = jnp.where(left > 0, jnp.log(jnp.maximum(left, 1)), -1e3) + noise
            score = jnp.where(left >= self.steps - step, jnp.inf, score)
            _, chosen = lax.top_k(score, self._parts)
            return taken.at[chosen].add(1), (chosen, taken[chosen])

        _, dealt = lax.scan(batch, jnp.zeros_like(groups), jnp.arange(self.steps))
        # They are sorted by rank, but a class's size must not decide on its device.
        mixed = jax.random.bits(places, dealt[0].shape).argsort(axis=1)
        return tuple(jnp.take_along_axis(x, mixed, axis=1) for x in dealt)


def _int32(array) -> jax.Array:
    return jnp.asarray(array, jnp.int32)


ORDERS = ("shuffled", "balanced", "sequential")


def make_sampler(
    labels,
    *,
    name: str = "shuffled",
    per_class: int | None = None,
    class_names: Sequence[str] = (),
) -> Callable[[int], Sampler]:
    """Return an order of examples as a function of the batch size.

    `labels [N]` are integers; `name` is "shuffled", "balanced" (each class equally
    often) or "sequential". With `per_class` K a batch has K examples of each of its
    classes; with None their number is free. `class_names[label]` is the name of a class
    in errors.

    Warns when a class has fewer than K examples. Raises UserError when no such batch
    exists, or when a class has only one example and pairs are needed.
    """
    if name not in ORDERS:
        raise UserError(f"sampler {name!r} is not known; expected {', '.join(ORDERS)}.")
    labels = check_labels(labels, len(labels))
    named: dict[str, Any] = {"sampler.per_class": per_class}
    check_integer(None, 1, optional=True, **named)
    if name == "sequential" and per_class:
        raise UserError(
            f"sampler.per_class is {per_class} with sampler.name = {name!r}; it must "
            "be None, or a count of examples with 'shuffled' or 'balanced'."
        )
    if name == "sequential":
        return partial(Sequential, len(labels))
    if not per_class and name == "shuffled":
        return partial(Shuffled, len(labels))
    per_class = per_class or 1
    if per_class > 1:
        _check_sizes(labels, per_class, class_names)
    return partial(_by_class, labels, per_class, name == "balanced")


def _check_sizes(labels, per_class, class_names):
    classes, sizes = np.unique(labels, return_counts=True)
    names = [class_names[c] if len(class_names) else c for c in classes.tolist()]
    single = np.flatnonzero(sizes == 1)
    if len(single):
        raise UserError(
            f"{len(single)} of {len(names)} classes, such as {names[single[0]]!r}, "
            f"have one example to train on, and sampler.per_class = {per_class} needs "
            "pairs; leave those classes out, or set sampler.per_class to None."
        )
    small = np.flatnonzero(sizes < per_class)
    if len(small):
        warnings.warn(
            f"{len(small)} of {len(names)} classes, such as {names[small[0]]!r}, have "
            f"fewer than sampler.per_class = {per_class} examples to train on: a batch "
            "has some of theirs more than once.",
            stacklevel=3,
        )


def _by_class(labels, per_class, balanced, batch_size):
    if batch_size % per_class:
        raise UserError(
            f"train.batch_size = {batch_size} is not a multiple of sampler.per_class = "
            f"{per_class}; choose one that is."
        )
    parts, classes = batch_size // per_class, len(np.unique(labels))
    if per_class > 1 and parts > classes:
        raise UserError(
            f"train.batch_size = {batch_size} with sampler.per_class = {per_class} "
            f"takes {parts} classes, but there are {classes}; set train.batch_size to "
            f"at most {classes * per_class}, or sampler.per_class to at least "
            f"{-(-batch_size // classes)}."
        )
    sampler = ByClass(labels, batch_size, per_class, balanced)
    if per_class > 1 and sampler.most_groups > 1:
        warnings.warn(
            f"some classes have more groups of sampler.per_class = {per_class} than an "
            f"epoch has batches: a batch may have {sampler.most_groups} groups of one.",
            stacklevel=3,
        )
    return sampler
