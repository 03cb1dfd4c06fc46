"""Heads without a margin that change the scale or the loss."""

import dataclasses
import math
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from nfml_jax.errors import UserError
from nfml_jax.heads.margins.fixed import NormFace, Softmax
from nfml_jax.heads.margins.margin import statistic
from nfml_jax.ops import angles
from nfml_jax.ops.checks import check_number
from nfml_jax.ops.fields import traced

# Bounds of AdaCos's scale, as shares of its fixed one. If other classes are about as
# near as the target class, as in two dimensions, it would grow without bound.
LEAST, MOST = 0.1, 2.0


@dataclasses.dataclass(frozen=True)
class FocalLoss(Softmax):
    """(1 - p)^γ times softmax's cross entropy -log p: Lin et al. 2017 (1708.02002).

    >>> target, others = jnp.array(0.0), jnp.array(0.0)  # p = 1/2
    >>> round(float(FocalLoss(2.0).loss(target, others)), 4)  # ln(2) / 4
    0.1733
    """

    gamma: float = traced(2.0)
    paper: ClassVar[str] = "Lin et al. 2017"
    use: ClassVar[str] = (
        "a few hard examples among many easy ones, or classes of very unequal size"
    )

    def __post_init__(self):
        super().__post_init__()
        check_number(self, 0.0, gamma=self.gamma)

    def loss(self, target, others):
        log_miss = jax.nn.log_sigmoid(others - target)
        return jnp.exp(self.gamma * log_miss) * super().loss(target, others)

    def loss_words(self):
        return f"focal loss, (1 - p)^{self.gamma:g} times cross entropy, of softmax"


@dataclasses.dataclass(frozen=True)
class CocoLoss(NormFace):
    """Congenerous cosine: Liu et al. 2017 (1710.00870), eq. 5.

    With the scale ln(C - 1) / 2 + 3 the least loss is 0.0025, of an embedding on its
    own center and opposite to all others.

    >>> round(CocoLoss().own_scale(num_classes=10), 3)
    4.099
    """

    paper: ClassVar[str] = "Liu et al. 2017"
    use: ClassVar[str] = (
        "NormFace without a scale to tune: the number of classes determines it"
    )

    def own_scale(self, num_classes):
        return 0.5 * math.log(num_classes - 1) + 3.0

    def options(self):
        return "s = ln(C - 1)/2 + 3 unless given"


@dataclasses.dataclass(frozen=True)
class AdaCos(NormFace):
    """A scale without hyperparameters: Zhang et al. 2019 (1905.00292), eqs. 8, 12-15.

    The fixed scale is √2 ln(C - 1). If `dynamic` is true, the scale starts there and
    becomes ln B / cos(min(π/4, θ)) after each step. B is the batch's mean of the other
    classes' sum, and θ the median of its target angles. The scale stays between a tenth
    of the fixed scale and twice it.

    >>> round(AdaCos(dynamic=False).own_scale(num_classes=10), 3)
    3.107
    """

    dynamic: bool = True
    scale: Any = statistic(None)
    finds_scale: ClassVar[bool] = True
    paper: ClassVar[str] = "Zhang et al. 2019"
    use: ClassVar[str] = (
        "a first try on new data: neither margin nor scale has to be tuned"
    )

    def own_scale(self, num_classes):
        if num_classes < 3:
            raise UserError(
                f"AdaCos got {num_classes} classes, for which its scale √2 ln(C - 1) "
                "is 0; expected at least 3, or use 'normface'."
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
        angle = angles.angle(rows.cosine)
        widest = jnp.minimum(_median(angle, rows.valid), math.pi / 4)
        scale = (jax.nn.logsumexp(others) - jnp.log(count)) / jnp.cos(widest)
        return {"scale": jnp.where(jnp.any(rows.valid), scale, self.scale)}

    def options(self):
        return "s follows the batch's angles" if self.dynamic else "s = √2 ln(C - 1)"


def _median(values, valid):
    """Return the median of the `valid` values [B] that are no NaN; infinite if none.

    No NaN stands for what is left out, as `jax.debug_nans` would stop there.
    """
    some = valid & ~jnp.isnan(values)
    ordered = jnp.sort(jnp.where(some, values, jnp.inf))
    last = jnp.maximum(jnp.sum(some) - 1, 0)
    return (ordered[last // 2] + ordered[(last + 1) // 2]) * 0.5
