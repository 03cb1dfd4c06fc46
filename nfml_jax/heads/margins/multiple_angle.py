"""Margins that multiply the angle: ψ of L-Softmax and SphereFace."""

import dataclasses
from typing import Any, ClassVar

from nfml_jax.heads.margins.description import shown
from nfml_jax.heads.margins.margin import Margin, number
from nfml_jax.heads.strength import Annealing
from nfml_jax.ops import angles
from nfml_jax.ops.checks import check_number


@dataclasses.dataclass(frozen=True)
class _MultipleAngle(Margin):
    """The margin φ = ψ(θ) = (-1)^k cos(mθ) - 2k, with k = ⌊mθ/π⌋ and m ≥ 1."""

    margin: Any = number(4)
    grad: str = "exact"
    integral: ClassVar[bool] = True

    def __post_init__(self):
        super().__post_init__()
        check_number(self, 1, integral=self.integral, margin=self.margin)

    def phi(self, cosine):
        return angles.unfolded_cosine(cosine, self.margin)

    def formula(self):
        return f"(-1)^k cos({shown(self.margin)}θ) - 2k"


@dataclasses.dataclass(frozen=True)
class LSoftmax(_MultipleAngle):
    """ψ with integer m, nothing normalized: Liu et al. 2016 (1612.02295), eqs. 4-6.

    Its default annealing ends in the full margin: λ is 0.4 after 10,000 steps.

    >>> import jax.numpy as jnp
    >>> round(float(LSoftmax(2).target(jnp.cos(1.0))), 3)  # cos 2
    -0.416
    """

    normalize_embeddings: ClassVar[bool] = False
    normalize_weights: ClassVar[bool] = False
    default_scale: ClassVar[float | None] = None
    default_strength: ClassVar[Annealing | None] = Annealing(1000.0, 2.5e-5, 35.0, 0.0)
    paper: ClassVar[str] = "Liu et al. 2016"
    use: ClassVar[str] = (
        "comparisons with the first margin; later ones are easier to train"
    )


@dataclasses.dataclass(frozen=True)
class SphereFace(_MultipleAngle):
    """A-Softmax, ψ with integer m, weights normalized: Liu et al. 2017 (1704.08063).

    The released training anneals it (`Annealing()`), and the share of ψ is at most 1/6.

    >>> import jax.numpy as jnp
    >>> round(float(SphereFace(4).target(jnp.cos(1.0))), 3)  # -cos 4 - 2
    -1.346
    """

    normalize_embeddings: ClassVar[bool] = False
    default_scale: ClassVar[float | None] = None
    default_strength: ClassVar[Annealing | None] = Annealing()
    paper: ClassVar[str] = "Liu et al. 2017"
    use: ClassVar[str] = (
        "comparisons with tables of 2017; it converges with its annealing only"
    )


@dataclasses.dataclass(frozen=True)
class SphereFaceR(_MultipleAngle):
    """ψ with real m, all normalized: SphereFace Revived (Liu et al. 2022, 2109.05565).

    The paper trains with `grad="detach"` and scale 30.

    >>> import jax.numpy as jnp
    >>> round(float(SphereFaceR(1.5).target(jnp.cos(1.0))), 3)  # cos 1.5
    0.071
    """

    margin: Any = number(1.7)
    default_scale: ClassVar[float | None] = 30.0
    integral: ClassVar[bool] = False
    paper: ClassVar[str] = "Liu et al. 2022"
    use: ClassVar[str] = "a margin that grows with the angle, trained without annealing"
