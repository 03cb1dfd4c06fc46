"""Ways to sum the softmax over the classes, with equal values and gradients.

A block sum is `(queries [B, D], classes, labels [B], scores, chunk) -> Sums`, where
`scores(queries, weights, bias)` returns two arrays `[B, c]` for any c classes: the
margin-free logits, and the logarithms of the terms that non-target classes add to the
sum. It may close over traced numbers, which get gradients too. A new way is a function
and a line in `SUMMATIONS`.
"""

from collections.abc import Callable
from typing import NamedTuple

from nfml_jax.errors import UserError
from nfml_jax.heads.classes import Classes, Sums, sums
from nfml_jax.heads.streaming import streamed
from nfml_jax.ops.names import look_up


class Summation(NamedTuple):
    """A way for a device to sum its classes, which are a share of all if `split`.

    The classes of a split sum are distributed in equal shares over the devices of the
    head's axis.

    >>> SUMMATIONS["sharded"].split
    True
    """

    block: Callable[..., Sums]
    split: bool = False


def dense(queries, classes: Classes, labels, scores, chunk=None) -> Sums:
    """Return the sums from all logits `[B, C]` at once."""
    free, terms = scores(queries, classes.weights, classes.bias)
    return sums(free, terms, classes.number, labels)


SUMMATIONS = {
    "dense": Summation(dense),
    "streamed": Summation(streamed),
    "sharded": Summation(dense, split=True),
    "sharded_streamed": Summation(streamed, split=True),
}


def check_summation(name: str, chunk: int, share: float, margin) -> None:
    """Raise UserError for a summation that is invalid, or invalid with this margin."""
    look_up(SUMMATIONS, name, "Summation")
    if not chunk >= 1:
        raise UserError(
            f"MarginHead got class_chunk={chunk!r}; expected an integer of at least 1, "
            "such as 2048."
        )
    if not 0.0 < share <= 1.0:
        raise UserError(
            f"MarginHead got class_share={share!r}; expected a share above 0 and at "
            "most 1, such as 0.1 (1: all classes)."
        )
    if share < 1.0 and margin.repulsion:
        raise UserError(
            f"{type(margin).__name__} needs all classes, but got class_share={share!r};"
            " leave it at 1, or use 'cosface'."
        )
