"""Margins on the target class and on every other class."""

import dataclasses
import math
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from nfml_jax.heads.margins.description import shown
from nfml_jax.heads.margins.margin import Margin, number
from nfml_jax.ops.checks import check_number


@dataclasses.dataclass(frozen=True)
class CircleLoss(Margin):
    """φ = (1 + m - c)(c - 1 + m) for c = cos θ: Sun et al. 2020 (2002.10857), eq. 8.

    Other classes count as [c + m]₊ (c - m). The first factors are weights without
    gradient: an entry far from its optimum pulls harder. The margin *relaxes* the loss:
    the larger it is, the sooner a class is good enough. The default scale is the
    paper's for faces.

    >>> margin = CircleLoss(0.25)
    >>> float(margin.target(0.5)), float(margin.negatives(jnp.array(0.5), None))
    (-0.1875, 0.1875)
    """

    margin: Any = number(0.25)
    default_scale: ClassVar[float | None] = 256.0
    paper: ClassVar[str] = "Sun et al. 2020"
    use: ClassVar[str] = "few hard examples: what is far from its optimum pulls harder"

    def __post_init__(self):
        super().__post_init__()
        check_number(self, 0.0, 2.0, margin=self.margin)

    def phi(self, cosine):
        weight = jax.lax.stop_gradient(1.0 + self.margin - cosine)
        return weight * (cosine - 1.0 + self.margin)

    def negatives(self, cosine, target):
        weight = jax.lax.stop_gradient(jax.nn.relu(cosine + self.margin))
        return weight * (cosine - self.margin)

    def formula(self):
        return f"{shown(self.margin)}² - (1 - cos θ)²"

    def others_formula(self):
        m = shown(self.margin)
        return f"[cos θ + {m}]₊(cos θ - {m})"

    def remedy(self, neighbor):
        return f"a margin above {neighbor / math.sqrt(2.0):.3f}"


@dataclasses.dataclass(frozen=True)
class SphereFace2(Margin):
    """One binary classifier for each class: Wen et al. 2022 (2108.01513), eq. 5.

    With g(c) = 2((c + 1) / 2)^`sharpness` - 1, the loss is `balance` times
    softplus(-s(g - m) - b) of the target class, plus 1 - `balance` times
    softplus(s(g + m) + b) of each other class. The bias b is shared; it starts where
    its gradient is zero if all angles are right angles. The paper divides by s. The
    released code uses `grad="detach"`.

    >>> margin = SphereFace2(0.4, sharpness=3)
    >>> target, other = margin.target(0.0), margin.negatives(jnp.array(0.0), None)
    >>> round(float(target), 3), round(float(other), 3)
    (-1.15, -0.35)
    """

    margin: Any = number(0.4)
    sharpness: float = 3
    balance: float = 0.7
    grad: str = "exact"
    bias: ClassVar[bool] = True
    shared_bias: ClassVar[bool] = True
    default_scale: ClassVar[float | None] = 40.0
    paper: ClassVar[str] = "Wen et al. 2022"
    use: ClassVar[str] = (
        "verification by one threshold for all: each class is a binary decision, and "
        "classes don't compete"
    )

    def __post_init__(self):
        super().__post_init__()
        check_number(self, 0.0, 2.0, margin=self.margin)
        check_number(self, 1.0, sharpness=self.sharpness)
        check_number(self, 1e-6, 1.0 - 1e-6, balance=self.balance)

    def phi(self, cosine):
        return self._sharpened(cosine) - self.margin

    def negatives(self, cosine, target):
        return self._with_gradient(cosine, self._sharpened(cosine) + self.margin)

    def log_terms(self, logits):
        # For small logits log softplus(z) is z, before softplus(z) underflows.
        above = jnp.maximum(logits, -37.0)
        return jnp.where(logits < -37.0, logits, jnp.log(jax.nn.softplus(above)))

    def loss(self, target, others):
        positive = self.balance * jax.nn.softplus(-target)
        return positive + (1.0 - self.balance) * jnp.exp(others)

    def initial_bias(self, num_classes, scale):
        """Return the bias at which the loss of cosines 0 has gradient zero in it."""
        odds = self.balance / ((1.0 - self.balance) * (num_classes - 1.0))
        other = scale * (2.0 * 0.5**self.sharpness - 1.0 + self.margin)
        log_gap = -2.0 * scale * self.margin
        root = jnp.sqrt((1.0 - odds) ** 2 + 4.0 * odds * jnp.exp(log_gap))
        if odds < 1.0:
            return jnp.log(2.0 * odds) - other - jnp.log(1.0 - odds + root)
        # The same, where 1 - odds + root would lose its digits.
        return jnp.log((root + odds - 1.0) / 2.0) - log_gap - other

    def formula(self):
        return f"{self._sharpened_shown()} - {shown(self.margin)}"

    def others_formula(self):
        return f"{self._sharpened_shown()} + {shown(self.margin)}"

    def loss_words(self):
        return (
            f"binary cross entropies (target class {self.balance:g}, other classes "
            f"{1.0 - self.balance:g})"
        )

    def _sharpened(self, cosine):
        base = jnp.maximum((cosine + 1.0) / 2.0, 0.0)
        return 2.0 * base**self.sharpness - 1.0

    def _sharpened_shown(self):
        return f"2((cos θ + 1)/2)^{self.sharpness:g} - 1"

    def remedy(self, neighbor):
        room = (1.0 - float(self._sharpened(jnp.asarray(neighbor)))) / 2.0
        return f"a margin below {room:.3f}"
