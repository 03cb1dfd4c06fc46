"""Margins: what each loss puts in place of the cosine of the right class.

Every margin is a frozen dataclass around one function φ of the target cosine, and says
which of embeddings and weights it normalises. In all of them the logit of class j is

    (1 or ‖w_j‖) · (scale or ‖x‖) · cos θ_j (+ b_j),

with cos θ replaced by φ(θ) for the right class alone. Margins may be traced scalars:
what is checked here is checked for plain numbers only.
"""

import dataclasses
import math
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from nfml_jax.errors import UserError
from nfml_jax.heads import angles

GRADIENTS = ("exact", "detach")
CONTINUATIONS = ("linear", "clamp", "none")


def _check_margin(owner, name, value, low, high, *, whole=False, hint=""):
    """Raises UserError for a plain number outside [low, high]; lets arrays pass."""
    if hasattr(value, "dtype") and not angles.is_number(value):
        return
    kind = "a whole number" if whole else "a number"
    valid = angles.is_number(value) and low <= value <= high
    if not valid or (whole and not float(value).is_integer()):
        wanted = (
            f"in [{low:g}, {high:.6g}]" if high < math.inf else f"of at least {low:g}"
        )
        raise UserError(
            f"{type(owner).__name__} got {name}={value!r}; expected {kind} "
            f"{wanted}{hint}."
        )


def _check_choice(owner, name, value, choices):
    if value not in choices:
        raise UserError(
            f"{type(owner).__name__} got {name}={value!r}; expected one of "
            + ", ".join(repr(choice) for choice in choices)
            + "."
        )


def _degrees_hint(value) -> str:
    if angles.is_number(value) and 2 <= value <= 90:
        return f" radians (if {value:g} is in degrees, give {math.radians(value):.3f})"
    return " radians"


def _shown(value) -> str:
    return f"{value:g}" if angles.is_number(value) else "m"


@dataclasses.dataclass(frozen=True)
class Margin:
    """What all margins share; on its own it leaves the cosine as it is.

    ``default_scale`` is the published scale, None where embeddings keep their norm;
    ``default_strength`` is the published schedule of the margin's strength.
    """

    normalise_embeddings: ClassVar[bool] = True
    normalise_weights: ClassVar[bool] = True
    bias: ClassVar[bool] = False
    default_scale: ClassVar[float | None] = 64.0
    default_strength: ClassVar[Any] = None

    @property
    def is_traced(self) -> bool:
        """Whether a number of this margin is an array, whose value may be unknown."""
        fields = (getattr(self, field.name) for field in dataclasses.fields(self))
        return any(isinstance(value, jax.Array) for value in fields)

    def phi(self, cosine: jax.Array) -> jax.Array:
        """φ [...] of target cosines [...] in [-1, 1]."""
        return cosine

    def target(self, cosine: jax.Array) -> jax.Array:
        """φ [...] of target cosines [...] clipped to [-1, 1], with the chosen gradient.

        ``grad="detach"`` keeps φ's value and takes the plain cosine's gradient, as
        insightface and SphereFace-R (Liu et al. 2022, sec. 3.4) do.
        """
        cosine = jnp.clip(cosine, -1.0, 1.0)
        phi = self.phi(cosine)
        if getattr(self, "grad", "exact") == "detach":
            return cosine + jax.lax.stop_gradient(phi - cosine)
        return phi

    def formula(self) -> str:
        """φ as a person writes it, with this margin's numbers in it."""
        return "cos θ"


@dataclasses.dataclass(frozen=True)
class Softmax(Margin):
    """No margin, nothing normalised, a bias: the ordinary classification layer."""

    normalise_embeddings: ClassVar[bool] = False
    normalise_weights: ClassVar[bool] = False
    bias: ClassVar[bool] = True
    default_scale: ClassVar[float | None] = None


@dataclasses.dataclass(frozen=True)
class ArcFace(Margin):
    """φ = cos(θ + m), m in radians: Deng et al. 2019 (1801.07698), eq. 3.

    ``easy`` applies the margin for θ < π/2 only, where φ then jumps up by sin m;
    ``beyond_pi`` says what follows past θ = π - m: "linear" (cos θ - m sin m), "clamp"
    (-1) or "none" (φ rises again, as in insightface).
    """

    margin: Any = 0.5
    grad: str = "exact"
    easy: bool = False
    beyond_pi: str = "linear"

    def __post_init__(self):
        hint = _degrees_hint(self.margin)
        _check_margin(self, "margin", self.margin, 0.0, math.pi / 2, hint=hint)
        _check_choice(self, "grad", self.grad, GRADIENTS)
        _check_choice(self, "beyond_pi", self.beyond_pi, CONTINUATIONS)

    def phi(self, cosine):
        phi = angles.shifted_cosine(cosine, 1, self.margin, self.beyond_pi)
        return jnp.where(cosine > 0.0, phi, cosine) if self.easy else phi

    def formula(self):
        return f"cos(θ + {_shown(self.margin)})"
