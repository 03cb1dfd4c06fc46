"""Loops over a batch in bounded memory: over its rows, and over anchors' positives.

In a batch of P classes with K examples every anchor has K - 1 positives, so that K - 1
steps see all of the batch's O(B²K) triplets. Any other batch takes as many steps as its
most frequent class has positives.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from nfml_jax.ops import control_flow
from nfml_jax.ops.broadcasting import broadcasting

PyTree = Any


def by_chunks(block: Callable, rows: tuple[PyTree, ...], chunk: int | None) -> PyTree:
    """Return `block(*rows)` of rows `[B, ...]`, computed for `chunk` rows at a time.

    The block's results are arrays `[..., B]`, in which each entry depends on its row
    alone. `chunk` None computes all rows at once. The backward pass computes each chunk
    again, so that no intermediate value is stored.

    >>> rows = jnp.arange(5.0)
    >>> by_chunks(lambda x: x**2, (rows,), chunk=2).tolist()
    [0.0, 1.0, 4.0, 9.0, 16.0]
    """
    count = len(rows[0])
    if chunk is None or chunk >= count:
        return block(*rows)
    chunks = -(-count // chunk)

    def split(x):
        # Padding repeats the first row; its results are cut off again.
        padded = jnp.concatenate([x, x[jnp.zeros(chunks * chunk - count, int)]])
        return padded.reshape(chunks, chunk, *x.shape[1:])

    def join(x):
        return jnp.moveaxis(x, 0, -2).reshape(*x.shape[1:-1], -1)[..., :count]

    def step(_, rows):
        return (), jax.checkpoint(block)(*rows)

    _, results = control_flow.scan(step, (), jax.tree.map(split, rows))
    return jax.tree.map(join, results)


def over_positives(step: Callable, positive: jax.Array, start: PyTree) -> PyTree:
    """Return the state after `step(state, column [A], number)` for each positive.

    `column` is an anchor's next positive among the references of mask `positive`
    `[A, R]`, or R if there are no more. `number` counts the steps from 0.

    >>> positive = jnp.array([[False, True, True], [True, False, False]])
    >>> def count(state, column, number):
    ...     return state + (column < 3)
    >>> over_positives(count, positive, jnp.zeros(2, int)).tolist()
    [2, 1]
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
    return control_flow.while_loop(unfinished, one, (first, jnp.zeros((), int), start))[
        2
    ]


def at_column(values: jax.Array, column: jax.Array) -> jax.Array:
    """Return `values[a, column[a]]` `[A]` of values `[A, R]`, or 0 if the column is R.

    >>> at_column(jnp.array([[1.0, 2.0], [3.0, 4.0]]), jnp.array([1, 2])).tolist()
    [2.0, 0.0]
    """
    # The gradient of a sum over a mask is a mask, which is faster than a scatter.
    here = jnp.arange(values.shape[1]) == column[:, None]
    return jnp.sum(jnp.where(here, values, 0), axis=1)


def sum_over_positives(
    term: Callable, operands: PyTree, constants: PyTree, positive: jax.Array
) -> PyTree:
    """Return Σ term(operands, constants, column [A], number) over rows' positives.

    `term` returns a pytree of `[A]`, and may close over plain numbers only. Gradients
    are with respect to `operands`. The backward pass computes every step again, so that
    no intermediate value is stored.

    >>> values = (jnp.array([[1.0, 2.0, 4.0]]),)
    >>> positive = jnp.array([[False, True, True]])
    >>> def term(operands, constants, column, number):
    ...     return at_column(operands[0], column)
    >>> sum_over_positives(term, values, (), positive).tolist()
    [6.0]
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
