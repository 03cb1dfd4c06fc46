"""Sums over each anchor's positives, one after the other, in the memory of one.

In a batch of P classes with K examples every anchor has K - 1 positives, so K - 1 steps
see all of the batch's O(B²K) triplets; a batch of any other kind takes as many steps as
its most frequent class asks for.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from nfml_jax.ops import loops
from nfml_jax.ops.broadcasting import broadcasting

PyTree = Any


def over_positives(step: Callable, positive: jax.Array, start: PyTree) -> PyTree:
    """`state = step(state, column [A], number)` for each positive of every anchor.

    `column` is an anchor's next positive among the references of mask `positive`
    [A, R], or R where it has no more; `number` counts the steps from 0.
    """
    references = jnp.arange(positive.shape[1])

    def after(column):
        rest = positive & (references > column[:, None])
        return jnp.min(jnp.where(rest, references, len(references)), axis=1)

    def unfinished(carry):
        return jnp.any(carry[0] < len(references))

    def one(carry):
        column, number, state = carry
        return after(column), number + 1, step(state, column, number)

    first = after(jnp.full(len(positive), -1))
    return loops.while_loop(unfinished, one, (first, jnp.zeros((), int), start))[2]


def at_column(values: jax.Array, column: jax.Array) -> jax.Array:
    """values[a, column[a]] [A] of values [A, R]; 0 where the column is R."""
    # A sum over a mask, because its gradient is a mask too, and not a scatter.
    here = jnp.arange(values.shape[1]) == column[:, None]
    return jnp.sum(jnp.where(here, values, 0), axis=1)


def sum_over_positives(
    term: Callable, operands: PyTree, constants: PyTree, positive: jax.Array
) -> PyTree:
    """Σ term(operands, constants, column [A], number) over the positives of each row.

    `term` gives a pytree of [A], and may close over plain numbers only; there is a
    gradient with respect to `operands`. Going backwards every step is taken once more,
    so nothing of the steps is kept.
    """

    def masked(operands, constants, column, number):
        some = column < positive.shape[1]
        terms = term(operands, constants, column, number)
        return jax.tree.map(lambda x: jnp.where(some, x, 0), terms)

    @jax.custom_vjp
    def summed(operands, constants, positive):
        def step(total, column, number):
            return _add(total, masked(operands, constants, column, number))

        column, number = jnp.zeros(len(positive), int), jnp.zeros((), int)
        shapes = jax.eval_shape(masked, operands, constants, column, number)
        zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)
        return over_positives(step, positive, zeros)

    def forward(*arguments):
        return summed(*arguments), arguments

    def backward(arguments, cotangents):
        operands, constants, positive = arguments

        def step(total, column, number):
            def of(operands):
                return masked(operands, constants, column, number)

            return _add(total, jax.vjp(of, operands)[1](cotangents)[0])

        zeros = jax.tree.map(jnp.zeros_like, operands)
        return over_positives(step, positive, zeros), None, None

    summed.defvjp(forward, broadcasting(backward))
    return summed(operands, constants, positive)


def _add(a, b):
    return jax.tree.map(jnp.add, a, b)
