"""Margins whose numbers stay what they are, from softmax to the combined margin."""

import dataclasses
import math
from typing import Any, ClassVar

import jax.numpy as jnp

from nfml_jax.errors import UserError
from nfml_jax.heads.margins.margin import NUMBER, Margin
from nfml_jax.heads.margins.options import check_choices, shown
from nfml_jax.heads.strength import Annealing
from nfml_jax.ops import angles
from nfml_jax.ops.checks import check_number, check_radians


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
    paper: ClassVar[str] = "Ranjan et al. 2017"


@dataclasses.dataclass(frozen=True)
class NormFace(Margin):
    """No margin; embeddings and weights normalised: Wang et al. 2017 (1704.06369)."""

    paper: ClassVar[str] = "Wang et al. 2017"


@dataclasses.dataclass(frozen=True)
class _MultipleAngle(Margin):
    """φ = ψ(θ) = (-1)^k cos(mθ) - 2k, with k = ⌊mθ/π⌋ and m ≥ 1."""

    margin: Any = dataclasses.field(default=4, metadata=NUMBER)
    grad: str = "exact"
    whole: ClassVar[bool] = True

    def __post_init__(self):
        check_number(self, 1, integral=self.whole, margin=self.margin)
        check_choices(self)

    def phi(self, cosine):
        return angles.unfolded_cosine(cosine, self.margin)

    def formula(self):
        return f"(-1)^k cos({shown(self.margin)}θ) - 2k"


@dataclasses.dataclass(frozen=True)
class LSoftmax(_MultipleAngle):
    """ψ with whole m, nothing normalised: Liu et al. 2016 (1612.02295), eqs. 4-6.

    Its default annealing ends in the full margin: λ is 0.4 after 10,000 steps.
    """

    normalise_embeddings: ClassVar[bool] = False
    normalise_weights: ClassVar[bool] = False
    default_scale: ClassVar[float | None] = None
    default_strength: ClassVar[Annealing | None] = Annealing(1000.0, 2.5e-5, 35.0, 0.0)
    paper: ClassVar[str] = "Liu et al. 2016"


@dataclasses.dataclass(frozen=True)
class SphereFace(_MultipleAngle):
    """A-Softmax, ψ with whole m, weights normalised: Liu et al. 2017 (1704.08063).

    The released training anneals it (`Annealing()`) and never gives ψ more than 1/6.
    """

    normalise_embeddings: ClassVar[bool] = False
    default_scale: ClassVar[float | None] = None
    default_strength: ClassVar[Annealing | None] = Annealing()
    paper: ClassVar[str] = "Liu et al. 2017"


@dataclasses.dataclass(frozen=True)
class SphereFaceR(_MultipleAngle):
    """ψ with real m, all normalised: SphereFace Revived (Liu et al. 2022, 2109.05565).

    The paper trains with `grad="detach"` and scale 30.
    """

    margin: Any = dataclasses.field(default=1.7, metadata=NUMBER)
    default_scale: ClassVar[float | None] = 30.0
    whole: ClassVar[bool] = False
    paper: ClassVar[str] = "Liu et al. 2022"


@dataclasses.dataclass(frozen=True)
class CosFace(Margin):
    """φ = cos θ - m: Wang et al. 2018 (1801.09414), eq. 4; AM-Softmax (1801.05599)."""

    margin: Any = dataclasses.field(default=0.35, metadata=NUMBER)
    grad: str = "exact"
    paper: ClassVar[str] = "Wang et al. 2018"

    def __post_init__(self):
        check_number(self, 0.0, 2.0, margin=self.margin)
        check_choices(self)

    def phi(self, cosine):
        return cosine - self.margin

    def formula(self):
        return f"cos θ - {shown(self.margin)}"

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
    paper: ClassVar[str] = "Deng et al. 2019, eq. 4"

    def __post_init__(self):
        check_number(self, 0.0, m1=self.m1)
        check_radians(self, m2=self.m2)
        check_number(self, 0.0, 2.0, m3=self.m3)
        check_choices(self)
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
        return f"cos({shown(self.m1)}θ + {shown(self.m2)}) - {shown(self.m3)}"


@dataclasses.dataclass(frozen=True)
class ArcFace(Margin):
    """φ = cos(θ + m), m in radians: Deng et al. 2019 (1801.07698), eq. 3.

    `grad`, `easy` and `beyond_pi` are those of `CombinedMargin`.
    """

    margin: Any = dataclasses.field(default=0.5, metadata=NUMBER)
    grad: str = "exact"
    easy: bool = False
    beyond_pi: str = "linear"
    paper: ClassVar[str] = "Deng et al. 2019"

    def __post_init__(self):
        check_radians(self, margin=self.margin)
        check_choices(self)

    def phi(self, cosine):
        phi = angles.shifted_cosine(cosine, 1, self.margin, self.beyond_pi)
        return jnp.where(cosine > 0.0, phi, cosine) if self.easy else phi

    def formula(self):
        return f"cos(θ + {shown(self.margin)})"

    def _smaller(self, neighbour):
        return f"a margin below {math.acos(neighbour):.3f}"
