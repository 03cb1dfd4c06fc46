"""Margins with constant numbers, from softmax to the combined margin."""

import dataclasses
import math
from typing import Any, ClassVar

import jax.numpy as jnp

from nfml_jax.errors import UserError
from nfml_jax.heads.margins.description import shown
from nfml_jax.heads.margins.margin import Margin, number
from nfml_jax.ops import angles
from nfml_jax.ops.checks import check_number, check_radians


@dataclasses.dataclass(frozen=True)
class Softmax(Margin):
    """The ordinary classification layer: no margin, nothing normalized, a bias.

    >>> from nfml_jax.heads import MarginHead
    >>> MarginHead(10, Softmax()).formula()
    '‖w‖·‖x‖·cos θ + b'
    """

    normalize_embeddings: ClassVar[bool] = False
    normalize_weights: ClassVar[bool] = False
    bias: ClassVar[bool] = True
    default_scale: ClassVar[float | None] = None
    use: ClassVar[str] = (
        "the baseline of every comparison, and enough where only the trained classes "
        "matter"
    )


@dataclasses.dataclass(frozen=True)
class L2Softmax(Margin):
    """No margin; embeddings of norm scale: Ranjan et al. 2017 (1703.09507), eq. 3.

    >>> from nfml_jax.heads import MarginHead
    >>> MarginHead(10, L2Softmax(), scale=16.0).formula()
    '‖w‖·16·cos θ + b'
    """

    normalize_weights: ClassVar[bool] = False
    bias: ClassVar[bool] = True
    default_scale: ClassVar[float | None] = 16.0
    paper: ClassVar[str] = "Ranjan et al. 2017"
    use: ClassVar[str] = (
        "one step from softmax: an easy image can't lower the loss by a longer "
        "embedding"
    )


@dataclasses.dataclass(frozen=True)
class NormFace(Margin):
    """No margin; embeddings and weights normalized: Wang et al. 2017 (1704.06369).

    >>> from nfml_jax.heads import MarginHead
    >>> MarginHead(10, NormFace(), scale=30.0).formula()
    '30·cos θ'
    """

    paper: ClassVar[str] = "Wang et al. 2017"
    use: ClassVar[str] = (
        "an embedding to compare by cosine, without a margin; the baseline of all "
        "margins"
    )


@dataclasses.dataclass(frozen=True)
class CosFace(Margin):
    """φ = cos θ - m: Wang et al. 2018 (1801.09414), eq. 4; AM-Softmax (1801.05599).

    >>> round(float(CosFace(0.35).target(0.5)), 3)
    0.15
    """

    margin: Any = number(0.35)
    grad: str = "exact"
    paper: ClassVar[str] = "Wang et al. 2018"
    use: ClassVar[str] = (
        "a safe default: the margin is the same at all angles, so training starts well"
    )

    def __post_init__(self):
        super().__post_init__()
        check_number(self, 0.0, 2.0, margin=self.margin)

    def phi(self, cosine):
        return cosine - self.margin

    def formula(self):
        return f"cos θ - {shown(self.margin)}"

    def remedy(self, neighbor):
        return f"a margin below {1.0 - neighbor:.3f}"


@dataclasses.dataclass(frozen=True)
class CombinedMargin(Margin):
    """φ = cos(m1 θ + m2) - m3: Deng et al. 2019 (1801.07698), eq. 4.

    m1 is any number, and m2 is in radians. `easy` applies the margin for θ < π/2 only,
    where φ then jumps up. `beyond_pi` is the continuation once m1 θ + m2 has passed π:
    "linear" (cos θ - m2 sin m2 for m1 = 1), "clamp" (-1, less m3) or "none" (φ rises
    again, as in insightface). See `angles.shifted_cosine`.

    >>> margin = CombinedMargin(1.0, 0.3, 0.2)
    >>> margin.formula(), round(float(margin.target(jnp.cos(1.0))), 3)
    ('cos(1θ + 0.3) - 0.2', 0.067)
    """

    m1: Any = number(1.0)
    m2: Any = number(0.3)
    m3: Any = number(0.2)
    grad: str = "exact"
    easy: bool = False
    beyond_pi: str = "linear"
    paper: ClassVar[str] = "Deng et al. 2019, eq. 4"
    use: ClassVar[str] = (
        "a search over margins, of which ArcFace, CosFace and SphereFace-R are "
        "special cases"
    )

    def __post_init__(self):
        super().__post_init__()
        check_number(self, 0.0, m1=self.m1)
        check_radians(self, m2=self.m2)
        check_number(self, 0.0, 2.0, m3=self.m3)
        if not self.is_array and self.m1 * math.pi + self.m2 < math.pi:
            raise UserError(
                f"CombinedMargin got m1={self.m1!r} and m2={self.m2!r}, which raise "
                "the target's cosine instead of lowering it; expected m1 of at least "
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

    >>> round(float(ArcFace(0.5).target(jnp.cos(1.0))), 3)  # cos 1.5
    0.071
    """

    margin: Any = number(0.5)
    grad: str = "exact"
    easy: bool = False
    beyond_pi: str = "linear"
    paper: ClassVar[str] = "Deng et al. 2019"
    use: ClassVar[str] = (
        "the usual choice for faces and for many classes; with few images of each, "
        "let it grow by `Warmup`"
    )

    def __post_init__(self):
        super().__post_init__()
        check_radians(self, margin=self.margin)

    def phi(self, cosine):
        phi = angles.shifted_cosine(cosine, 1, self.margin, self.beyond_pi)
        return jnp.where(cosine > 0.0, phi, cosine) if self.easy else phi

    def formula(self):
        return f"cos(θ + {shown(self.margin)})"

    def remedy(self, neighbor):
        return f"a margin below {math.acos(neighbor):.3f}"
