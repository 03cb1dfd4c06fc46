"""The sum over the classes a block at a time: [batch, classes] is never held.

What a block adds is forgotten once it is summed, and made again for the gradient, which
is in closed form: a wrong class's is its share of the sum.
"""

import functools

import jax
import jax.numpy as jnp
from jax import lax

from nfml_jax import loops
from nfml_jax.heads.classes import NO_CLASS, Classes, Sums, sums, wrong_classes


def streamed(queries, classes: Classes, labels, scores, chunk: int) -> Sums:
    """Holds the logits of at most `chunk` classes at once, [B, chunk]."""
    blocks = _Blocks(classes, chunk)
    example = blocks[0]
    # Traced numbers that `scores` holds become arguments, which have gradients.
    scores, numbers = jax.closure_convert(
        scores, queries, example.weights, example.bias
    )
    given = queries, classes.weights, classes.bias, numbers
    # An argument shared by all devices would get a gradient that isn't.
    given = loops.vary_as(given, given)
    return Sums(*_streamed(scores, chunk, given, (classes.number, labels)))


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _streamed(scores, chunk, given, whole):
    queries, weights, bias, numbers = given
    number, labels = whole
    blocks = _Blocks(Classes(weights, bias, number), chunk)

    def step(_, place):
        block = blocks[place]
        free, terms = scores(queries, block.weights, block.bias, *numbers)
        return (), sums(free, terms, block.number, labels)

    _, parts = loops.scan(step, (), jnp.arange(blocks.count))
    return jax.nn.logsumexp(parts.others, axis=0), jnp.max(parts.rival, axis=0)


def _forward(scores, chunk, given, whole):
    others, rival = _streamed(scores, chunk, given, whole)
    return (others, rival), (given, whole, others)


def _backward(scores, chunk, kept, slopes):
    (queries, weights, bias, numbers), (number, labels), others = kept
    slope, _ = slopes
    blocks = _Blocks(Classes(weights, bias, number), chunk)

    def step(place, grads):
        grad_shared, grad_classes = grads
        # From the last on: what it has in common with the one before is overwritten.
        place = blocks.count - 1 - place
        block = blocks[place]
        terms, pull_back = jax.vjp(
            lambda shared, own: scores(shared[0], *own, *shared[1])[1],
            (queries, numbers),
            block[:2],
        )
        share = jnp.exp(terms - others[:, None]) * slope[:, None]
        wrong = wrong_classes(block.number, labels)
        shared, own = pull_back(jnp.where(wrong, share, 0.0))
        return jax.tree.map(jnp.add, grad_shared, shared), jax.tree.map(
            lambda all, new: lax.dynamic_update_slice_in_dim(
                all, new, blocks.start(place), 0
            ),
            grad_classes,
            own,
        )

    start = jax.tree.map(jnp.zeros_like, ((queries, numbers), (weights, bias)))
    (grad_queries, grad_numbers), (grad_weights, grad_bias) = loops.fori_loop(
        0, blocks.count, step, start
    )
    return (grad_queries, grad_weights, grad_bias, grad_numbers), None


_streamed.defvjp(_forward, _backward)


class _Blocks:
    """Blocks of one size; the last begins before the one before it ends.

    Classes that it has already seen are none in it.
    """

    def __init__(self, classes: Classes, chunk: int):
        self._classes, total = classes, len(classes.number)
        self.count = -(-total // chunk)
        self._size = -(-total // self.count)
        self._last = total - self._size

    def start(self, place):
        return jnp.minimum(place * self._size, self._last)

    def __getitem__(self, place) -> Classes:
        start = self.start(place)
        block = jax.tree.map(
            lambda x: lax.dynamic_slice_in_dim(x, start, self._size), self._classes
        )
        new = start + jnp.arange(self._size) >= place * self._size
        return block._replace(number=jnp.where(new, block.number, NO_CLASS))
