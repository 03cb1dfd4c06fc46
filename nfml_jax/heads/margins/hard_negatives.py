"""Margins that raise or lower the weight of other classes by comparison with φ.

Each is a fixed margin on the target class, and a function of cos θ_j and φ for the
other classes. The choice of hard classes has no gradient.
"""

import dataclasses
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from nfml_jax.heads.margins.fixed import ArcFace, CosFace
from nfml_jax.heads.margins.margin import Margin, statistic
from nfml_jax.ops.checks import check_choice, check_number
from nfml_jax.ops.fields import traced


@dataclasses.dataclass(frozen=True)
class CurricularFace(ArcFace):
    """ArcFace, with cos θ_j (t + cos θ_j) where cos θ_j > φ: Huang et al. 2020.

    t is the moving average of the target cosine. Hard classes therefore count for less
    early in training and for more later (2004.00288, eqs. 5-7 and 9).

    >>> margin = CurricularFace(0.5, t=0.3)
    >>> cosines, phi = jnp.array([0.2, 0.8]), jnp.array(0.5)
    >>> [round(float(c), 2) for c in margin.negatives(cosines, phi)]  # 0.8 (0.3 + 0.8)
    [0.2, 0.88]
    """

    momentum: float = 0.99
    t: Any = statistic(0.0, traced=True)
    paper: ClassVar[str] = "Huang et al. 2020"
    use: ClassVar[str] = (
        "clean data and long training: easy examples first and hard classes later, "
        "without mining"
    )

    def __post_init__(self):
        super().__post_init__()
        check_number(self, 0.0, 1.0, momentum=self.momentum)
        check_number(self, -1.0, 1.0, t=self.t)

    def negatives(self, cosine, target):
        return jnp.where(cosine > target, cosine * (self.t + cosine), cosine)

    def moved(self, rows):
        return {"t": self._drifted("t", rows.mean(rows.cosine), rows)}

    def others_formula(self):
        return "cos θ (t + cos θ) if cos θ > φ, else cos θ"


REWEIGHTINGS = ("adaptive", "fixed")


class _MisclassifiedVectors(Margin):
    """A margin for which other classes with cos θ_j > φ count for more.

    They count as cos θ_j + t (cos θ_j + 1) with "adaptive" reweighting, and as
    cos θ_j + t with "fixed".
    """

    t: float
    reweighting: str

    def __post_init__(self):
        super().__post_init__()
        check_number(self, 0.0, t=self.t)
        check_choice(self, REWEIGHTINGS, reweighting=self.reweighting)

    def negatives(self, cosine, target):
        more = self.t * (cosine + 1.0) if self.reweighting == "adaptive" else self.t
        return jnp.where(cosine > target, cosine + more, cosine)

    def others_formula(self):
        more = "(cos θ + 1)" if self.reweighting == "adaptive" else ""
        return f"cos θ + {self.t:g}{more} if cos θ > φ, else cos θ"


@dataclasses.dataclass(frozen=True)
class MVArcFace(_MisclassifiedVectors, ArcFace):
    """MV-Arc-Softmax, ArcFace's margin: Wang et al. 2020 (1912.00833), eqs. 5-8.

    >>> cosines, phi = jnp.array([0.2, 0.8]), jnp.array(0.5)
    >>> [round(float(c), 2) for c in MVArcFace(0.5, t=0.1).negatives(cosines, phi)]
    [0.2, 0.98]
    """

    t: float = traced(0.12)
    reweighting: str = "adaptive"
    paper: ClassVar[str] = "Wang et al. 2020"
    use: ClassVar[str] = (
        "clean data, where a class that beats the target should count more at once"
    )


@dataclasses.dataclass(frozen=True)
class MVCosFace(_MisclassifiedVectors, CosFace):
    """MV-AM-Softmax, CosFace's margin: Wang et al. 2020 (1912.00833), eqs. 5-8.

    >>> cosines, phi = jnp.array([0.2, 0.8]), jnp.array(0.5)
    >>> margin = MVCosFace(0.35, t=0.1, reweighting="fixed")
    >>> [round(float(c), 2) for c in margin.negatives(cosines, phi)]
    [0.2, 0.9]
    """

    t: float = traced(0.12)
    reweighting: str = "adaptive"
    paper: ClassVar[str] = "Wang et al. 2020"
    use: ClassVar[str] = "as `mv_arcface`, with the steadier margin of CosFace"


@dataclasses.dataclass(frozen=True)
class ArcNegFace(ArcFace):
    """ArcFace, with w cos θ_j + w - 1: Liu et al. 2019 (1909.00632), eq. 4.

    w = `peak` · exp(-(cos θ_j - φ)² / `width`) is largest for classes about as near as
    the target class, so that mislabeled examples, which are far from theirs, count for
    less. φ has no gradient in it.

    >>> cosines, phi = jnp.array([0.0, 0.5]), jnp.array(0.5)
    >>> [round(float(c), 3) for c in ArcNegFace(0.5).negatives(cosines, phi)]
    [0.059, 0.8]
    """

    peak: float = 1.2
    width: float = 2.0
    paper: ClassVar[str] = "Liu et al. 2019"
    use: ClassVar[str] = (
        "noisy labels: classes near the target count more, and mislabeled examples less"
    )

    def __post_init__(self):
        super().__post_init__()
        check_number(self, 0.0, peak=self.peak)
        check_number(self, 1e-6, width=self.width)

    def negatives(self, cosine, target):
        distance = cosine - jax.lax.stop_gradient(target)
        weight = self.peak * jnp.exp(-(distance**2) / self.width)
        return weight * (cosine + 1.0) - 1.0

    def others_formula(self):
        return f"w (cos θ + 1) - 1, w = {self.peak:g} exp(-(cos θ - φ)²/{self.width:g})"

    def remedy(self, neighbor):
        return "a smaller margin or peak"
