"""Margins whose size depends on the example: its norm, or a random draw."""

import dataclasses
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from nfml_jax.errors import UserError
from nfml_jax.heads.margins.fixed import ArcFace, CombinedMargin, CosFace
from nfml_jax.heads.margins.margin import NUMBER, STATISTIC, Margin
from nfml_jax.heads.margins.options import check_choices, shown
from nfml_jax.ops.checks import check_number, check_radians
from nfml_jax.ops.distances import largest, power_of_two


@dataclasses.dataclass(frozen=True)
class AdaFace(Margin):
    """φ = cos(θ - mẑ) - mẑ - m: Kim et al. 2022 (2204.00964), eqs. 13-17.

    ẑ in [-1, 1] is `concentration` standard deviations' worth of the embedding's norm,
    which stands for the image's quality, without gradient: an ArcFace for a low norm,
    CosFace's m for the mean, and more for a high one. Where θ - mẑ leaves [0, π] the
    default is constant, as in the released code; see `angles.shifted_cosine`.
    """

    margin: Any = dataclasses.field(default=0.4, metadata=NUMBER)
    concentration: float = 0.333
    momentum: float = 0.99
    beyond_pi: str = "clamp"
    norm_mean: Any = dataclasses.field(default=20.0, metadata=STATISTIC)
    norm_deviation: Any = dataclasses.field(default=100.0, metadata=STATISTIC)
    paper: ClassVar[str] = "Kim et al. 2022"

    def __post_init__(self):
        check_radians(self, margin=self.margin)
        check_number(self, 0.0, concentration=self.concentration)
        check_number(self, 0.0, 1.0, momentum=self.momentum)
        check_number(self, 0.0, norm_mean=self.norm_mean)
        check_number(self, 0.0, norm_deviation=self.norm_deviation)
        check_choices(self)

    def phi(self, cosine):
        return cosine - self.margin

    def for_examples(self, cosine, norm, noise):
        deviations = (norm - self.norm_mean) / (self.norm_deviation + 1e-3)
        quality = jnp.clip(self.concentration * deviations, -1.0, 1.0)
        shift = self.margin * jax.lax.stop_gradient(quality)
        return CombinedMargin(1, -shift, self.margin + shift, beyond_pi=self.beyond_pi)

    def moved(self, rows):
        mean = rows.mean(rows.norm)
        count = jnp.sum(rows.valid)
        unbiased = count / jnp.maximum(count - 1, 1)
        apart = jnp.where(rows.valid, rows.norm - mean, 0.0)
        scale = power_of_two(largest(apart))
        deviation = scale * jnp.sqrt(unbiased * rows.mean((apart / scale) ** 2))
        return {
            "norm_mean": self._drifted("norm_mean", mean, rows),
            "norm_deviation": self._drifted("norm_deviation", deviation, rows),
        }

    def formula(self):
        m = shown(self.margin)
        return f"cos(θ - {m}ẑ) - {m}ẑ - {m}"

    def options(self):
        return f"ẑ in [-1, 1] from the norm, {super().options()}"


@dataclasses.dataclass(frozen=True)
class MagFace(Margin):
    """φ = cos(θ + m(‖x‖)): Meng et al. 2021 (2103.06627), eqs. 3 and 6.

    m grows from `lower` to `upper`, radians, as the norm a grows from `low_norm` to
    `high_norm`, and `pull` · (a / high_norm² + 1 / a) is added to the loss, which makes
    norms large. Beyond these norms neither changes. Without a norm, m is `lower`.
    """

    lower: Any = dataclasses.field(default=0.45, metadata=NUMBER)
    upper: Any = dataclasses.field(default=0.8, metadata=NUMBER)
    low_norm: float = 10.0
    high_norm: float = 110.0
    pull: float = 35.0
    grad: str = "exact"
    easy: bool = False
    beyond_pi: str = "linear"
    paper: ClassVar[str] = "Meng et al. 2021"

    def __post_init__(self):
        check_radians(self, lower=self.lower)
        check_radians(self, upper=self.upper)
        check_number(self, 1e-6, low_norm=self.low_norm)
        check_number(self, 1e-6, high_norm=self.high_norm)
        check_number(self, 0.0, pull=self.pull)
        check_choices(self)
        if not self.is_array and self.high_norm <= self.low_norm:
            raise UserError(
                f"MagFace got low_norm={self.low_norm!r} and high_norm="
                f"{self.high_norm!r}; expected the second to be larger."
            )

    def phi(self, cosine):
        return self._arcface(self.lower).phi(cosine)

    def for_examples(self, cosine, norm, noise):
        share = (self._clipped(norm) - self.low_norm) / (self.high_norm - self.low_norm)
        return self._arcface(self.lower + share * (self.upper - self.lower))

    def penalty(self, norm):
        norm = self._clipped(norm)
        return self.pull * (norm / self.high_norm**2 + 1.0 / norm)

    def formula(self):
        return f"cos(θ + m), m from {shown(self.lower)} to {shown(self.upper)}"

    def options(self):
        return (
            f"m grows with ‖x‖ from {self.low_norm:g} to {self.high_norm:g}, plus "
            f"{self.pull:g}·(‖x‖/{self.high_norm:g}² + 1/‖x‖), {super().options()}"
        )

    def _clipped(self, norm):
        return jnp.clip(norm, self.low_norm, self.high_norm)

    def _arcface(self, margin):
        return ArcFace(margin, self.grad, self.easy, self.beyond_pi)


class _Elastic(Margin):
    """A margin drawn for each example and step from N(m, `deviation`²), at least 0.

    Without random numbers it is m itself. With `plus` the largest draws go to the
    examples farthest from their classes, among all of the batch.
    """

    random: ClassVar[bool] = True
    margin: Any
    deviation: float

    def __post_init__(self):
        super().__post_init__()
        check_number(self, 0.0, deviation=self.deviation)

    def farthest_first(self, noise, cosine):
        """Draws [N] handed out anew: the largest where the target cosine is least."""
        farness = jnp.argsort(jnp.argsort(-cosine))
        return jnp.sort(noise)[farness]

    def for_examples(self, cosine, norm, noise):
        drawn = jnp.maximum(self.margin + self.deviation * noise, 0.0)
        return dataclasses.replace(self, margin=drawn)

    def options(self):
        words = [f"m drawn with standard deviation {self.deviation:g}"]
        words += ["the largest for the farthest"] if self.plus else []
        return ", ".join([*words, *filter(None, [super().options()])])


@dataclasses.dataclass(frozen=True)
class ElasticArcFace(_Elastic, ArcFace):
    """φ = cos(θ + m), m ~ N: Boutros et al. 2022 (2109.09416), eq. 6; `plus`, eq. 8."""

    deviation: float = 0.05
    plus: bool = False
    paper: ClassVar[str] = "Boutros et al. 2022"


@dataclasses.dataclass(frozen=True)
class ElasticCosFace(_Elastic, CosFace):
    """φ = cos θ - m, m ~ N: Boutros et al. 2022 (2109.09416), eq. 7; `plus`, eq. 8."""

    deviation: float = 0.05
    plus: bool = False
    paper: ClassVar[str] = "Boutros et al. 2022"
