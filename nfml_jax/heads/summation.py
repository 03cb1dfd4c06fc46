"""Ways to sum the softmax over the classes, with equal values and gradients.

A block sum is `(queries [B, D], classes, labels [B], scores, chunk) -> Sums`, where
`scores(queries, weights, bias)` gives two [B, c] of any c classes: the margin-free
logits, and the logarithms of what wrong classes add to the sum. It may hold traced
numbers, which get their gradients too. A new way is a function and a line in the table.
"""

from collections.abc import Callable
from typing import NamedTuple

from nfml_jax.errors import UserError
from nfml_jax.heads.classes import Classes, Sums, sums
from nfml_jax.heads.streaming import streamed
from nfml_jax.ops.names import look_up


class Summation(NamedTuple):
    """How a device sums its classes, and whether it has but a share of them.

    With `split` classes lie on the devices of the head's axis, in equal shares.
    """

    block: Callable[..., Sums]
    split: bool = False


def dense(queries, classes: Classes, labels, scores, chunk=None) -> Sums:
    """Holds all logits [B, C] at once."""
    free, terms = scores(queries, classes.weights, classes.bias)
    return sums(free, terms, classes.number, labels)


SUMMATIONS = {
    "dense": Summation(dense),
    "streamed": Summation(streamed),
    "sharded": Summation(dense, split=True),
    "sharded_streamed": Summation(streamed, split=True),
}


def check_summation(name: str, chunk: int, share: float, margin) -> None:
    """Raises UserError for a way to sum that cannot be, or not with this margin."""
    look_up(SUMMATIONS, name, "Summation")
    if not chunk >= 1:
        raise UserError(
            f"MarginHead got class_chunk={chunk!r}; expected a whole number from 1 up, "
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
            " leave it at 1, or take 'cosface'."
        )
