"""The scale of normalised logits, from the probability that a head is to reach.

CosFace (Wang et al. 2018), eq. 6, with the margin taken into account.
"""

import dataclasses

import jax
import jax.numpy as jnp

from nfml_jax.errors import UserError


@dataclasses.dataclass(frozen=True)
class TargetProbability:
    """The least scale at which a perfectly placed class reaches `probability`.

    With an embedding on its own centre, and all the C centres as far apart as they can
    be (a simplex, cosine -1 / (C - 1); needs C ≤ D + 1), this is
    s = ln((C - 1) P / (1 - P)) / (φ(0) + 1 / (C - 1)). Without a margin it is CosFace's
    eq. 6; with CosFace's margin the divisor is C / (C - 1) - m.
    """

    probability: float

    def __post_init__(self):
        if not 0.0 < self.probability < 1.0:
            raise UserError(
                f"TargetProbability got {self.probability!r}; expected a probability "
                "strictly between 0 and 1, such as 0.99."
            )

    def scale(self, margin, num_classes: int) -> jax.Array:
        """The scale, a scalar, for a margin and a number of classes."""
        odds = (num_classes - 1) * self.probability / (1.0 - self.probability)
        with jax.ensure_compile_time_eval():
            gap = margin.target(jnp.ones(())) + 1.0 / (num_classes - 1)
            unreachable = not margin.is_array and (gap <= 0.0 or odds <= 1.0)
        if unreachable:
            raise UserError(
                f"No scale gives probability {self.probability:g} with "
                f"{margin.formula()} and {num_classes} classes: take a smaller margin "
                "or a larger probability."
            )
        return jnp.log(odds) / gap
