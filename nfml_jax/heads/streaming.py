"""The sum over the classes in blocks, which never holds logits `[B, C]`.

The gradient is in closed form: a class's gradient is its share of the sum. Its logits
are computed again. If a row of the weights is as long as the batch, the logits are
stored in the array of the weights' gradient, which replaces them block by block.
"""

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from nfml_jax.heads.classes import NO_CLASS, Classes, Sums, other_classes, sums
from nfml_jax.ops import control_flow
from nfml_jax.ops.broadcasting import broadcasting


def streamed(queries, classes: Classes, labels, scores, chunk: int) -> Sums:
    """Return the sums from the logits of at most `chunk` classes at once, `[B, chunk]`.

    Logits can be stored for the gradient if the classes are divisible into blocks of
    between `chunk` / 2 and `chunk`; this saves one of four matrix products.
    """
    # Devices' gradients of shared values are added up once, after this.
    queries, classes = control_flow.vary_as((queries, classes), (queries, classes))
    example = _Blocks(classes, chunk)[0]
    # Traced numbers in the closure of `scores` become arguments, which have gradients.
    scores, numbers = jax.closure_convert(
        scores, queries, example.weights, example.bias
    )
    given = queries, classes.weights, classes.bias, numbers
    # A `custom_vjp` with options has lost the type of its result.
    found: Any = _streamed(scores, chunk, given, (classes.number, labels))
    return Sums(*found)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _streamed(scores, chunk, given, whole):
    return _summed(scores, chunk, given, whole, keep=False)[0]


def _forward(scores, chunk, given, whole):
    found, waiting = _summed(scores, chunk, given, whole, keep=True)
    return found, (given, whole, found[0], waiting)


def _summed(scores, chunk, given, whole, keep):
    """Return the sums, and the stored logarithms of the terms or None."""
    queries, weights, bias, numbers = given
    number, labels = whole
    blocks = _Blocks(Classes(weights, bias, number), chunk)
    keep = keep and blocks.have_room_for(queries)

    def step(waiting, place):
        block = blocks[place]
        free, terms = scores(queries, block.weights, block.bias, *numbers)
        if keep:
            row = terms.reshape(1, -1)
            waiting = lax.dynamic_update_slice(waiting, row, (place, 0))
        return waiting, sums(free, terms, block.number, labels)

    start = jnp.zeros(blocks.flat, weights.dtype) if keep else None
    waiting, parts = control_flow.scan(step, start, jnp.arange(blocks.count))
    others = jax.nn.logsumexp(parts.others, axis=0)
    return (others, jnp.max(parts.hardest, axis=0)), waiting


def _backward(scores, chunk, kept, slopes):
    given, (number, labels), others, waiting = kept
    queries, weights, bias, numbers = given
    slope, _ = slopes
    blocks = _Blocks(Classes(weights, bias, number), chunk)

    def step(place, grads):
        grad_shared, grad_weights, grad_bias = grads
        # Backward, so that the overlap of the last two blocks is overwritten.
        place = blocks.count - 1 - place
        block = blocks[place]
        terms, pull_back = jax.vjp(
            lambda shared, own: scores(shared[0], *own, *shared[1])[1],
            (queries, numbers),
            block[:2],
        )
        if waiting is not None:
            row = lax.dynamic_slice(grad_weights, (place, 0), (1, terms.size))
            terms = row.reshape(terms.shape)
        share = jnp.exp(terms - others[:, None]) * slope[:, None]
        negative = other_classes(block.number, labels)
        shared, (of_weights, of_bias) = pull_back(jnp.where(negative, share, 0.0))
        if waiting is not None:
            of_weights = of_weights.reshape(1, -1)
            grad_weights = lax.dynamic_update_slice(
                grad_weights, of_weights, (place, 0)
            )
        else:
            grad_weights = blocks.written(grad_weights, place, of_weights)
        grad_shared = jax.tree.map(jnp.add, grad_shared, shared)
        return grad_shared, grad_weights, blocks.written(grad_bias, place, of_bias)

    shared, grad_bias = jax.tree.map(jnp.zeros_like, ((queries, numbers), bias))
    grad_weights = jnp.zeros_like(weights) if waiting is None else waiting
    (grad_queries, grad_numbers), grad_weights, grad_bias = control_flow.fori_loop(
        0, blocks.count, step, (shared, grad_weights, grad_bias)
    )
    grad_weights = grad_weights.reshape(weights.shape)
    # The steps have added up the gradients of numbers that devices share.
    grad_numbers = control_flow.shared_as(grad_numbers, numbers)
    return (grad_queries, grad_weights, grad_bias, grad_numbers), None


_streamed.defvjp(_forward, broadcasting(_backward))


class _Blocks:
    """Blocks of equal size; the last one may overlap the one before it.

    Classes in the overlap count in the earlier block only.
    """

    def __init__(self, classes: Classes, chunk: int):
        self._classes, total = classes, len(classes.number)
        sizes = range(min(chunk, total), max(chunk // 2, 1) - 1, -1)
        even = next((size for size in sizes if total % size == 0), None)
        self._size = even or -(-total // -(-total // chunk))
        self.count = -(-total // self._size)
        self._even, self._last = bool(even), total - self._size
        # A block's weights as one row.
        self.flat = self.count, self._size * math.prod(classes.weights.shape[1:])

    def have_room_for(self, queries) -> bool:
        """Return whether a block's logits fit in the array of its weights' gradient."""
        precise = jnp.promote_types(queries.dtype, jnp.float32)
        fits = len(queries) * self._size <= self.flat[1]
        return self._even and fits and precise == self._classes.weights.dtype

    def __getitem__(self, place) -> Classes:
        start = self._start(place)
        block = jax.tree.map(
            lambda x: lax.dynamic_slice_in_dim(x, start, self._size), self._classes
        )
        new = start + jnp.arange(self._size) >= place * self._size
        return block._replace(number=jnp.where(new, block.number, NO_CLASS))

    def written(self, everything, place, block):
        """Return `everything` `[C, ...]` (or None) with one block replaced."""
        return jax.tree.map(
            lambda x, new: lax.dynamic_update_slice_in_dim(
                x, new, self._start(place), 0
            ),
            everything,
            block,
        )

    def _start(self, place):
        return jnp.minimum(place * self._size, self._last)
