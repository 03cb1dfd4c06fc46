"""The words of a margin: its formula, its options, and whether classes can satisfy it.

A margin describes itself for a run's header and for the table of heads.
"""

import math

import jax.numpy as jnp

from nfml_jax.ops.scalars import is_number

# Values of `beyond_pi`, and the words for them.
CONTINUATIONS = {
    "linear": "past π linear in cos θ",
    "clamp": "past π constant",
    "none": "past π rising again",
}


class Described:
    """The description of a margin, with defaults for softmax with no margin.

    >>> from nfml_jax.heads import CosFace
    >>> margin = CosFace(0.35)
    >>> margin.formula(), margin.others_formula(), margin.loss_words()
    ('cos θ - 0.35', 'cos θ', 'cross entropy of softmax')
    """

    # Options that some margins have as fields, with the values of all others. They have
    # no annotation, which would make them the first fields of every margin.
    grad = "exact"  # the gradient of φ, or "detach" for the plain cosine's
    easy = False  # whether the margin applies below 90° only
    beyond_pi = ""  # the continuation past θ + m = π, a name in CONTINUATIONS

    def formula(self) -> str:
        """Return φ in mathematical notation, with this margin's numbers in it."""
        return "cos θ"

    def others_formula(self) -> str:
        """Return the expression that replaces the cosine of a non-target class."""
        return "cos θ"

    def loss_words(self) -> str:
        """Return the name of the loss, without its logits."""
        return "cross entropy of softmax"

    def options(self) -> str:
        """Return this margin's options in words, or ""."""
        words = []
        if self.easy:
            words.append("below 90° only")
        if self.beyond_pi:
            words.append(CONTINUATIONS[self.beyond_pi])
        if self.grad == "detach":
            words.append("gradient of the plain cosine")
        return ", ".join(words)

    def remedy(self, neighbor: float) -> str:
        """Return the margins that centers at cosine `neighbor` satisfy, in words."""
        return "a smaller margin"


def infeasibility(margin, num_classes: int, embedding_size: int) -> str | None:
    """Return the sentence of `Margin.feasibility`, or None."""
    neighbor = _nearest_center(num_classes, embedding_size)
    best = margin.target(jnp.ones(()))
    hardest = float(margin.negatives(jnp.asarray(neighbor), best))
    if (best := float(best)) > hardest:
        return None
    return (
        f"{margin.formula()} cannot be satisfied by {num_classes} classes at "
        f"embedding size {embedding_size}: the nearest centers are at most "
        f"{math.degrees(math.acos(neighbor)):.1f}° apart, where another class "
        f"counts {hardest:.3f} and the target class {best:.3f} at most; take "
        f"{margin.remedy(neighbor)} or a larger embedding."
    )


def shown(value) -> str:
    """Return a margin's number as formulae show it, or "m" if its value isn't known.

    >>> shown(0.50), shown(jnp.ones(3))
    ('0.5', 'm')
    """
    return f"{value:g}" if is_number(value) else "m"


def _nearest_center(num_classes: int, embedding_size: int) -> float:
    """Return the least cosine that the closest two of C centers in D dimensions reach.

    It is exact on a circle and for up to D + 1 centers; beyond, it is the bound 0 that
    is exact for up to 2D centers (Rankin 1955).
    """
    if embedding_size == 2:
        return math.cos(2.0 * math.pi / num_classes)
    if num_classes <= embedding_size + 1:
        return -1.0 / (num_classes - 1)
    return 0.0
