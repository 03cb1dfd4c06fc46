"""The scale of normalized logits: its checks, and its value for a target probability.

CosFace (Wang et al. 2018), eq. 6, with the margin taken into account.
"""

import dataclasses
import math
import numbers

import jax
import jax.numpy as jnp

from nfml_jax.errors import UserError


@dataclasses.dataclass(frozen=True)
class TargetProbability:
    """The smallest scale at which a perfectly placed example has `probability`.

    With an embedding on its class center, and all C centers as far apart as possible
    (a simplex, cosine -1 / (C - 1); needs C ≤ D + 1), this is
    s = ln((C - 1) P / (1 - P)) / (φ(0) + 1 / (C - 1)). Without a margin it is CosFace's
    eq. 6; with CosFace's margin the divisor is C / (C - 1) - m. A margin that replaces
    the cosines of other classes is taken into account.

    >>> from nfml_jax.heads import CosFace, NormFace
    >>> round(float(TargetProbability(0.99).scale(NormFace(), num_classes=10)), 2)
    6.11
    >>> round(float(TargetProbability(0.99).scale(CosFace(0.35), num_classes=10)), 2)
    8.92
    """

    probability: float

    def __post_init__(self):
        if not 0.0 < self.probability < 1.0:
            raise UserError(
                f"TargetProbability got {self.probability!r}; expected a probability "
                "strictly between 0 and 1, such as 0.99."
            )

    def scale(self, margin, num_classes: int) -> jax.Array:
        """Return the scale `[]` for a margin and a number of classes."""
        odds = (num_classes - 1) * self.probability / (1.0 - self.probability)
        with jax.ensure_compile_time_eval():
            best = margin.target(jnp.ones(()))
            gap = best - margin.negatives(jnp.asarray(-1.0 / (num_classes - 1)), best)
            unreachable = not margin.is_array and (gap <= 0.0 or odds <= 1.0)
        if unreachable:
            raise UserError(
                f"No scale gives probability {self.probability:g} with "
                f"{margin.formula()} and {num_classes} classes: use a smaller margin "
                "or a larger probability."
            )
        return jnp.log(odds) / gap


def check_scale(scale, margin, num_classes: int) -> None:
    """Raise UserError for a scale that is invalid, or invalid with this margin."""
    name = type(margin).__name__
    if not margin.normalize_embeddings and scale is not None:
        raise UserError(
            f"{name} keeps the embeddings' norm and has no scale, but got "
            f"scale={scale!r}; leave the scale out (None)."
        )
    if margin.finds_scale and scale is not None:
        raise UserError(
            f"{name} finds its own scale, but got scale={scale!r}; leave the scale out "
            "(None), or use 'normface'."
        )
    if isinstance(scale, str) and scale != "learned":
        raise UserError(
            f"MarginHead got scale={scale!r}; expected a number, 'learned' or "
            "a TargetProbability."
        )
    if isinstance(scale, numbers.Real) and not 0 < float(scale) < math.inf:
        raise UserError(f"MarginHead got scale={scale!r}; expected a number above 0.")
    if isinstance(scale, TargetProbability):
        scale.scale(margin, num_classes)
    else:
        margin.own_scale(num_classes)


def fixed_scale(scale, margin, num_classes: int) -> float | jax.Array | None:
    """Return the scale of a head that doesn't learn it.

    It is the number, the value of a `TargetProbability`, or for None the margin's
    default, which is None if embeddings keep their norm.
    """
    if isinstance(scale, TargetProbability):
        return scale.scale(margin, num_classes)
    return margin.own_scale(num_classes) if scale is None else scale
