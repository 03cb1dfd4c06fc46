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
from nfml_jax.heads.strength import Annealing

GRADIENTS = ("exact", "detach")
# What follows past θ + m = π -> as a run's header says it.
CONTINUATIONS = {
    "linear": "past π straight in cos θ",
    "clamp": "past π constant",
    "none": "past π rising again",
}

# Marks a field that is one of the margin's numbers, as opposed to its options.
NUMBER = {"number": True}


def _check_margin(owner, name, value, low, high, *, whole=False, hint=""):
    """Raises UserError for a plain number outside [low, high]; lets arrays pass."""
    if hasattr(value, "dtype") and not angles.is_number(value):
        return
    kind = "a whole number" if whole else "a number"
    valid = angles.is_number(value) and low <= value <= high and value < math.inf
    if not valid or (whole and not float(value).is_integer()):
        wanted = (
            f"in [{low:g}, {high:.6g}]" if high < math.inf else f"of at least {low:g}"
        )
        raise UserError(
            f"{type(owner).__name__} got {name}={value!r}; expected {kind} "
            f"{wanted}{hint}."
        )


def _check_choices(owner):
    """Raises UserError where `grad` or `beyond_pi` is none of its choices."""
    for name, choices in (("grad", GRADIENTS), ("beyond_pi", CONTINUATIONS)):
        if (value := getattr(owner, name, None)) not in (None, *choices):
            raise UserError(
                f"{type(owner).__name__} got {name}={value!r}; expected one of "
                f"{', '.join(map(repr, choices))}."
            )


def _check_radians(owner, name, value):
    hint = " radians"
    if angles.is_number(value) and 2 <= value <= 90:
        hint += f" (if {value:g} is in degrees, give {math.radians(value):.3f})"
    _check_margin(owner, name, value, 0.0, math.pi / 2, hint=hint)


def _nearest_centre(num_classes: int, embedding_size: int) -> float:
    """The least cosine that the closest two of C centres in D dimensions can have.

    Exact on a circle and up to 2D centres; beyond, a lower bound (Rankin 1955).
    """
    if embedding_size == 2:
        return math.cos(2.0 * math.pi / num_classes)
    if num_classes <= embedding_size + 1:
        return -1.0 / (num_classes - 1)
    return 0.0


def _shown(value) -> str:
    return f"{value:g}" if angles.is_number(value) else "m"


@dataclasses.dataclass(frozen=True)
class Margin:
    """What all margins share; on its own it leaves the cosine as it is.

    `default_scale` is a usual scale, None where embeddings keep their norm;
    `default_strength` is the schedule of the margin's strength that it was published
    with, None for full strength from the start.
    """

    normalise_embeddings: ClassVar[bool] = True
    normalise_weights: ClassVar[bool] = True
    bias: ClassVar[bool] = False
    default_scale: ClassVar[float | None] = 64.0
    default_strength: ClassVar[Annealing | None] = None

    @classmethod
    def numbers(cls) -> list[str]:
        """The names of the fields that are numbers, in order."""
        fields = dataclasses.fields(cls)
        return [field.name for field in fields if field.metadata.get("number")]

    @property
    def is_array(self) -> bool:
        """Whether a number of this margin is an array, whose value may be unknown."""
        return any(isinstance(getattr(self, n), jax.Array) for n in self.numbers())

    def phi(self, cosine: jax.Array) -> jax.Array:
        """φ [...] of target cosines [...] in [-1, 1]."""
        return cosine

    def target(self, cosine: jax.Array) -> jax.Array:
        """φ [...] of target cosines [...] clipped to [-1, 1], with the chosen gradient.

        `grad="detach"` keeps φ's value and takes the plain cosine's gradient, as
        insightface and SphereFace-R (Liu et al. 2022) do.
        """
        cosine = jnp.clip(cosine, -1.0, 1.0)
        phi = self.phi(cosine)
        if getattr(self, "grad", "exact") == "detach":
            return cosine + jax.lax.stop_gradient(phi - cosine)
        return phi

    def formula(self) -> str:
        """φ as a person writes it, with this margin's numbers in it."""
        return "cos θ"

    def options(self) -> str:
        """This margin's options in words, or ""."""
        words = []
        if getattr(self, "easy", False):
            words.append("below 90° only")
        if hasattr(self, "beyond_pi"):
            words.append(CONTINUATIONS[self.beyond_pi])
        if getattr(self, "grad", "exact") == "detach":
            words.append("gradient of the plain cosine")
        return ", ".join(words)

    def feasibility(self, num_classes: int, embedding_size: int) -> str | None:
        """One sentence if no placing of the class centres can satisfy this margin.

        Satisfied means that an embedding on its own centre has a larger φ than the
        cosine of the nearest other centre. In two dimensions that is CosFace's (Wang
        et al. 2018) eq. 7, m < 1 - cos(2π/C), and for ArcFace m < 2π/C.
        """
        neighbour = _nearest_centre(num_classes, embedding_size)
        if self.is_array or (best := float(self.target(jnp.ones(())))) > neighbour:
            return None
        return (
            f"{self.formula()} cannot be satisfied by {num_classes} classes at "
            f"embedding size {embedding_size}: the nearest centres are at most "
            f"{math.degrees(math.acos(neighbour)):.1f}° apart, cosine {neighbour:.3f}, "
            f"and the right class reaches {best:.3f} at most; take "
            f"{self._smaller(neighbour)} or a larger embedding."
        )

    def _smaller(self, neighbour: float) -> str:
        """The margins that do well with centres at cosine `neighbour`, in words."""
        return "a smaller margin"


@dataclasses.dataclass(frozen=True)
class Softmax(Margin):
    """No margin, nothing normalised, a bias: the ordinary classification layer."""

    normalise_embeddings: ClassVar[bool] = False
    normalise_weights: ClassVar[bool] = False
    bias: ClassVar[bool] = True
    default_scale: ClassVar[float | None] = None


@dataclasses.dataclass(frozen=True)
class L2Softmax(Margin):
    """No margin; embeddings of norm scale: Ranjan et al. 2017 (1703.09507), eq. 3."""

    normalise_weights: ClassVar[bool] = False
    bias: ClassVar[bool] = True
    default_scale: ClassVar[float | None] = 16.0


@dataclasses.dataclass(frozen=True)
class NormFace(Margin):
    """No margin; embeddings and weights normalised: Wang et al. 2017 (1704.06369)."""


@dataclasses.dataclass(frozen=True)
class _MultipleAngle(Margin):
    """φ = ψ(θ) = (-1)^k cos(mθ) - 2k, with k = ⌊mθ/π⌋ and m ≥ 1."""

    margin: Any = dataclasses.field(default=4, metadata=NUMBER)
    grad: str = "exact"
    whole: ClassVar[bool] = True

    def __post_init__(self):
        _check_margin(self, "margin", self.margin, 1, math.inf, whole=self.whole)
        _check_choices(self)

    def phi(self, cosine):
        return angles.unfolded_cosine(cosine, self.margin)

    def formula(self):
        return f"(-1)^k cos({_shown(self.margin)}θ) - 2k"


@dataclasses.dataclass(frozen=True)
class LSoftmax(_MultipleAngle):
    """ψ with whole m, nothing normalised: Liu et al. 2016 (1612.02295), eqs. 4-6.

    Its default annealing ends in the full margin: λ is 0.4 after 10,000 steps.
    """

    normalise_embeddings: ClassVar[bool] = False
    normalise_weights: ClassVar[bool] = False
    default_scale: ClassVar[float | None] = None
    default_strength: ClassVar[Annealing | None] = Annealing(1000.0, 2.5e-5, 35.0, 0.0)


@dataclasses.dataclass(frozen=True)
class SphereFace(_MultipleAngle):
    """A-Softmax, ψ with whole m, weights normalised: Liu et al. 2017 (1704.08063).

    The released training anneals it (`Annealing()`) and never gives ψ more than 1/6.
    """

    normalise_embeddings: ClassVar[bool] = False
    default_scale: ClassVar[float | None] = None
    default_strength: ClassVar[Annealing | None] = Annealing()


@dataclasses.dataclass(frozen=True)
class SphereFaceR(_MultipleAngle):
    """ψ with real m, all normalised: SphereFace Revived (Liu et al. 2022, 2109.05565).

    The paper trains with `grad="detach"` and scale 30.
    """

    margin: Any = dataclasses.field(default=1.7, metadata=NUMBER)
    default_scale: ClassVar[float | None] = 30.0
    whole: ClassVar[bool] = False


@dataclasses.dataclass(frozen=True)
class CosFace(Margin):
    """φ = cos θ - m: Wang et al. 2018 (1801.09414), eq. 4; AM-Softmax (1801.05599)."""

    margin: Any = dataclasses.field(default=0.35, metadata=NUMBER)
    grad: str = "exact"

    def __post_init__(self):
        _check_margin(self, "margin", self.margin, 0.0, 2.0)
        _check_choices(self)

    def phi(self, cosine):
        return cosine - self.margin

    def formula(self):
        return f"cos θ - {_shown(self.margin)}"

    def _smaller(self, neighbour):
        return f"a margin below {1.0 - neighbour:.3f}"


@dataclasses.dataclass(frozen=True)
class CombinedMargin(Margin):
    """φ = cos(m1 θ + m2) - m3: Deng et al. 2019 (1801.07698), eq. 4.

    m1 is any number, m2 is in radians. `easy` applies the margin for θ < π/2 only,
    where φ then jumps up; `beyond_pi` says what follows once m1 θ + m2 has passed π:
    "linear" (cos θ - m2 sin m2 for m1 = 1), "clamp" (-1, less m3) or "none" (φ rises
    again, as in insightface). See `angles.shifted_cosine`.
    """

    m1: Any = dataclasses.field(default=1.0, metadata=NUMBER)
    m2: Any = dataclasses.field(default=0.3, metadata=NUMBER)
    m3: Any = dataclasses.field(default=0.2, metadata=NUMBER)
    grad: str = "exact"
    easy: bool = False
    beyond_pi: str = "linear"

    def __post_init__(self):
        _check_margin(self, "m1", self.m1, 0.0, math.inf)
        _check_radians(self, "m2", self.m2)
        _check_margin(self, "m3", self.m3, 0.0, 2.0)
        _check_choices(self)
        if not self.is_array and self.m1 * math.pi + self.m2 < math.pi:
            raise UserError(
                f"CombinedMargin got m1={self.m1!r} and m2={self.m2!r}, which would "
                "help the right class instead of hindering it; expected m1 of at least "
                f"1, or m2 of at least {(1.0 - self.m1) * math.pi:.3f} with this m1."
            )

    def phi(self, cosine):
        phi = angles.shifted_cosine(cosine, self.m1, self.m2, self.beyond_pi) - self.m3
        return jnp.where(cosine > 0.0, phi, cosine) if self.easy else phi

    def formula(self):
        return f"cos({_shown(self.m1)}θ + {_shown(self.m2)}) - {_shown(self.m3)}"


@dataclasses.dataclass(frozen=True)
class ArcFace(Margin):
    """φ = cos(θ + m), m in radians: Deng et al. 2019 (1801.07698), eq. 3.

    `grad`, `easy` and `beyond_pi` are those of `CombinedMargin`.
    """

    margin: Any = dataclasses.field(default=0.5, metadata=NUMBER)
    grad: str = "exact"
    easy: bool = False
    beyond_pi: str = "linear"

    def __post_init__(self):
        _check_radians(self, "margin", self.margin)
        _check_choices(self)

    def phi(self, cosine):
        phi = angles.shifted_cosine(cosine, 1, self.margin, self.beyond_pi)
        return jnp.where(cosine > 0.0, phi, cosine) if self.easy else phi

    def formula(self):
        return f"cos(θ + {_shown(self.margin)})"

    def _smaller(self, neighbour):
        return f"a margin below {math.acos(neighbour):.3f}"


MARGINS = {
    "softmax": Softmax,
    "l2_softmax": L2Softmax,
    "normface": NormFace,
    "l_softmax": LSoftmax,
    "sphereface": SphereFace,
    "sphereface_r": SphereFaceR,
    "cosface": CosFace,
    "arcface": ArcFace,
    "combined": CombinedMargin,
}
