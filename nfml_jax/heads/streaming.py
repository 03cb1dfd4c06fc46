"""The sum over the classes a block at a time: [batch, classes] is never held beside.

The gradient is in closed form: a wrong class's is its share of the sum. The logits that
it takes are made again; or, where a row of the weights is as long as the batch, they
wait where the weights' gradient will lie, which takes their place block by block.
"""

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from nfml_jax.heads.classes import NO_CLASS, Classes, Sums, sums, wrong_classes
from nfml_jax.ops import loops
from nfml_jax.ops.broadcasting import broadcasting


def streamed(queries, classes: Classes, labels, scores, chunk: int) -> Sums:
    """Holds the logits of at most `chunk` classes at once, [B, chunk].

    Logits can wait for the gradient if the classes are divisible into blocks of between
    `chunk` / 2 and `chunk`; three products of matrices then do, instead of four.
    """
    # Devices' gradients of what they share are added up once, behind this.
    queries, classes = loops.vary_as((queries, classes), (queries, classes))
    example = _Blocks(classes, chunk)[0]
    # Traced numbers that `scores` holds become arguments, which have gradients.
    scores, numbers = jax.closure_convert(
        scores, queries, example.weights, example.bias
    )
    given = queries, classes.weights, classes.bias, numbers
    # A `custom_vjp` that is made with options has lost the type of what it returns.
    found: Any = _streamed(scores, chunk, given, (classes.number, labels))
    return Sums(*found)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _streamed(scores, chunk, given, whole):
    return _summed(scores, chunk, given, whole, keep=False)[0]


def _forward(scores, chunk, given, whole):
    found, waiting = _summed(scores, chunk, given, whole, keep=True)
    return found, (given, whole, found[0], waiting)


def _summed(scores, chunk, given, whole, keep):
    """The sums, and the logarithms of the terms in their waiting place, or None."""
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
    waiting, parts = loops.scan(step, start, jnp.arange(blocks.count))
    others = jax.nn.logsumexp(parts.others, axis=0)
    return (others, jnp.max(parts.rival, axis=0)), waiting


def _backward(scores, chunk, kept, slopes):
    given, (number, labels), others, waiting = kept
    queries, weights, bias, numbers = given
    slope, _ = slopes
    blocks = _Blocks(Classes(weights, bias, number), chunk)

    def step(place, grads):
        grad_shared, grad_weights, grad_bias = grads
        # From the last on: what it has in common with the one before is overwritten.
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
        wrong = wrong_classes(block.number, labels)
        shared, (of_weights, of_bias) = pull_back(jnp.where(wrong, share, 0.0))
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
    (grad_queries, grad_numbers), grad_weights, grad_bias = loops.fori_loop(
        0, blocks.count, step, (shared, grad_weights, grad_bias)
    )
    grad_weights = grad_weights.reshape(weights.shape)
    # Of numbers that devices share, the steps have added them up.
    grad_numbers = loops.shared_as(grad_numbers, numbers)
    return (grad_queries, grad_weights, grad_bias, grad_numbers), None


_streamed.defvjp(_forward, broadcasting(_backward))


class _Blocks:
    """Blocks of one size; the last may begin before the one before it ends.

    Classes that it has already seen are none in it.
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
        """Whether a block's logits fit where its weights' gradient will lie."""
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
        """`everything` [C, ...] (or None) with a block's part of it in its place."""
        return jax.tree.map(
            lambda x, new: lax.dynamic_update_slice_in_dim(
                x, new, self._start(place), 0
            ),
            everything,
            block,
        )

    def _start(self, place):
        return jnp.minimum(place * self._size, self._last)
