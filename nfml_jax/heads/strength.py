"""Schedules of a margin's strength during training.

The target cosine becomes cos θ + strength · (φ - cos θ). Margin warm-up and the λ
annealing of L-Softmax and SphereFace are schedules of this one number in [0, 1]:
`schedule(step) -> strength`.
"""

import dataclasses

import jax
import jax.numpy as jnp

from nfml_jax.errors import UserError
from nfml_jax.ops.fields import traced


@dataclasses.dataclass(frozen=True)
class Warmup:
    """Strength that grows linearly from 0 to 1 over the first `steps` steps.

    >>> warmup = Warmup(100)
    >>> [float(warmup(step)) for step in (0, 25, 100, 1000)]
    [0.0, 0.25, 1.0, 1.0]
    """

    steps: int

    def __post_init__(self):
        if not self.steps > 0:
            raise UserError(
                f"Warmup got steps={self.steps!r}; expected a number of steps above 0 "
                "(leave the warm-up out for full strength from the start)."
            )

    def __call__(self, step: jax.Array) -> jax.Array:
        return jnp.clip(step / self.steps, 0.0, 1.0)

    def words(self) -> str:
        """Return the schedule in words, for a run's header."""
        return f"margin grows over {self.steps:,} steps"


@dataclasses.dataclass(frozen=True)
class Annealing:
    """Strength 1 / (1 + λ), λ = max(minimum, base / (1 + gamma · step)^power).

    The target logit is (λ cos θ + ψ) / (1 + λ): L-Softmax (Liu et al. 2016), sec. 4.2.
    The defaults are those of SphereFace's released training (Liu et al. 2017), which
    never goes below λ = 5.

    >>> annealing = Annealing(base=1000.0, gamma=0.12, power=1.0, minimum=5.0)
    >>> [round(float(annealing(step)), 3) for step in (0, 1000, 100_000)]
    [0.001, 0.108, 0.167]
    """

    base: float = traced(1000.0)
    gamma: float = traced(0.12)
    power: float = traced(1.0)
    minimum: float = traced(5.0)

    def __post_init__(self):
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if not isinstance(value, jax.Array) and not value >= 0:
                raise UserError(
                    f"Annealing got {field.name}={value!r}; expected a number of at "
                    "least 0."
                )

    def __call__(self, step: jax.Array) -> jax.Array:
        annealed = self.base / (1.0 + self.gamma * step) ** self.power
        return 1.0 / (1.0 + jnp.maximum(self.minimum, annealed))

    def words(self) -> str:
        """Return the schedule in words, for a run's header."""
        return (
            "margin's share 1/(1 + λ) grows as λ falls from "
            f"{max(self.base, self.minimum):g} to {self.minimum:g}"
        )
