"""No margin, but another scale or another loss than softmax's."""

import dataclasses
import math
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from nfml_jax.errors import UserError
from nfml_jax.heads.margins.fixed import NormFace, Softmax
from nfml_jax.heads.margins.margin import STATISTIC
from nfml_jax.ops import angles
from nfml_jax.ops.checks import check_number

# Bounds of AdaCos's scale, as shares of its fixed one. Where wrong classes are about as
# near as the right one, as in two dimensions, it would grow without end.
LEAST, MOST = 0.1, 2.0


@dataclasses.dataclass(frozen=True)
class FocalLoss(Softmax):
    """(1 - p)^γ times softmax's cross entropy -log p: Lin et al. 2017 (1708.02002)."""

    gamma: float = 2.0
    paper: ClassVar[str] = "Lin et al. 2017"

    def __post_init__(self):
        check_number(self, 0.0, gamma=self.gamma)

    def loss(self, target, others):
        log_miss = jax.nn.log_sigmoid(others - target)
        return jnp.exp(self.gamma * log_miss) * super().loss(target, others)

    def loss_words(self):
        return f"focal loss, (1 - p)^{self.gamma:g} times cross entropy, of softmax"


@dataclasses.dataclass(frozen=True)
class CocoLoss(NormFace):
    """Congenerous cosine: Liu et al. 2017 (1710.00870), eq. 5.

    With the scale ln(C - 1) / 2 + 3 no loss is below 0.0025: that of an embedding on
    its own centre and opposite to all others.
    """

    paper: ClassVar[str] = "Liu et al. 2017"

    def own_scale(self, num_classes):
        return 0.5 * math.log(num_classes - 1) + 3.0

    def options(self):
        return "s = ln(C - 1)/2 + 3 unless given"


@dataclasses.dataclass(frozen=True)
class AdaCos(NormFace):
    """A scale without hyperparameters: Zhang et al. 2019 (1905.00292), eqs. 8, 12-15.

    The fixed scale is √2 ln(C - 1). Unless `dynamic` is off it starts there and becomes
    ln B / cos(min(π/4, θ)) after each step, B being the batch's mean of the wrong
    classes' sum, and θ the median of its target angles; what is used stays between a
    tenth of the fixed scale and twice it.
    """

    dynamic: bool = True
    scale: Any = dataclasses.field(default=None, metadata=STATISTIC)
    finds_scale: ClassVar[bool] = True
    paper: ClassVar[str] = "Zhang et al. 2019"

    def own_scale(self, num_classes):
        if num_classes < 3:
            raise UserError(
                f"AdaCos got {num_classes} classes, for which its scale √2 ln(C - 1) "
                "is 0; expected at least 3, or take 'normface'."
            )
        fixed = math.sqrt(2.0) * math.log(num_classes - 1)
        if self.scale is None:
            return fixed
        return jnp.clip(self.scale, LEAST * fixed, MOST * fixed)

    def initial_statistics(self, num_classes):
        scale = jnp.asarray(self.own_scale(num_classes), jnp.float32)
        return {"scale": scale} if self.dynamic else {}

    def moved(self, rows):
        if not self.dynamic:
            return {}
        count = jnp.maximum(jnp.sum(rows.valid), 1)
        others = jnp.where(rows.valid, rows.others, -jnp.inf)
        angle = jnp.where(rows.valid, angles.angle(rows.cosine), jnp.nan)
        widest = jnp.minimum(jnp.nanmedian(angle), math.pi / 4)
        scale = (jax.nn.logsumexp(others) - jnp.log(count)) / jnp.cos(widest)
        return {"scale": jnp.where(jnp.any(rows.valid), scale, self.scale)}

    def options(self):
        return "s follows the batch's angles" if self.dynamic else "s = √2 ln(C - 1)"
