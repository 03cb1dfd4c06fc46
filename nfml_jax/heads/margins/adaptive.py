"""Margins that differ between examples, by the norm or by a random draw."""

import dataclasses
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from nfml_jax.errors import UserError
from nfml_jax.heads.margins.description import shown
from nfml_jax.heads.margins.fixed import ArcFace, CombinedMargin, CosFace
from nfml_jax.heads.margins.margin import Margin, number, statistic
from nfml_jax.ops.checks import check_number, check_radians
from nfml_jax.ops.distances import largest, power_of_two
from nfml_jax.ops.fields import traced


@dataclasses.dataclass(frozen=True)
class AdaFace(Margin):
    """φ = cos(θ - mẑ) - mẑ - m: Kim et al. 2022 (2204.00964), eqs. 13-17.

    ẑ in [-1, 1] is `concentration` times the norm in standard deviations from the mean
    norm, without gradient. The norm stands for the image's quality: a low one gives
    ArcFace, the mean gives CosFace, and a high one a larger margin. Where θ - mẑ leaves
    [0, π], the default is constant, as in the released code; see
    `angles.shifted_cosine`.

    >>> adaface = AdaFace(0.4, norm_mean=20.0, norm_deviation=5.0)
    >>> norms = jnp.array([5.0, 20.0, 35.0])
    >>> of_each = adaface.for_examples(jnp.full(3, 0.5), norms, noise=None)
    >>> [round(float(phi), 3) for phi in of_each.target(jnp.full(3, 0.5))]
    [0.123, 0.1, -0.002]
    """

    margin: Any = number(0.4)
    concentration: float = 0.333
    momentum: float = 0.99
    beyond_pi: str = "clamp"
    norm_mean: Any = statistic(20.0)
    norm_deviation: Any = statistic(100.0)
    paper: ClassVar[str] = "Kim et al. 2022"
    use: ClassVar[str] = (
        "images of mixed quality: bad ones don't have to satisfy a margin that they "
        "can't"
    )

    def __post_init__(self):
        super().__post_init__()
        check_radians(self, margin=self.margin)
        check_number(self, 0.0, concentration=self.concentration)
        check_number(self, 0.0, 1.0, momentum=self.momentum)
        check_number(self, 0.0, norm_mean=self.norm_mean)
        check_number(self, 0.0, norm_deviation=self.norm_deviation)

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

    >>> magface = MagFace(lower=0.2, upper=0.6, low_norm=10.0, high_norm=110.0)
    >>> of_each = magface.for_examples(None, jnp.array([10.0, 60.0, 110.0]), noise=None)
    >>> [round(float(m), 2) for m in of_each.margin]
    [0.2, 0.4, 0.6]
    """

    lower: Any = number(0.45)
    upper: Any = number(0.8)
    low_norm: float = 10.0
    high_norm: float = 110.0
    pull: float = 35.0
    grad: str = "exact"
    easy: bool = False
    beyond_pi: str = "linear"
    paper: ClassVar[str] = "Meng et al. 2021"
    use: ClassVar[str] = "embeddings whose norm should tell how good an image is"

    def __post_init__(self):
        super().__post_init__()
        check_radians(self, lower=self.lower)
        check_radians(self, upper=self.upper)
        check_number(self, 1e-6, low_norm=self.low_norm)
        check_number(self, 1e-6, high_norm=self.high_norm)
        check_number(self, 0.0, pull=self.pull)
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

    Without random numbers it is m itself. With `plus`, the largest draws of the batch
    go to the examples that are farthest from their classes.
    """

    random: ClassVar[bool] = True
    margin: Any
    deviation: float

    def __post_init__(self):
        super().__post_init__()
        check_number(self, 0.0, deviation=self.deviation)

    def assigned(self, noise, cosine):
        """Return draws `[N]` permuted: the largest where the cosine is smallest."""
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
    """φ = cos(θ + m), m ~ N: Boutros et al. 2022 (2109.09416), eq. 6; `plus`, eq. 8.

    >>> noise = jnp.array([-1.0, 0.0, 1.0])
    >>> drawn = ElasticArcFace(0.5, deviation=0.1).for_examples(None, None, noise)
    >>> [round(float(m), 2) for m in drawn.margin]
    [0.4, 0.5, 0.6]
    """

    deviation: float = traced(0.05)
    plus: bool = False
    paper: ClassVar[str] = "Boutros et al. 2022"
    use: ClassVar[str] = (
        "classes of unequal spread, for which one fixed margin is too rigid"
    )


@dataclasses.dataclass(frozen=True)
class ElasticCosFace(_Elastic, CosFace):
    """φ = cos θ - m, m ~ N: Boutros et al. 2022 (2109.09416), eq. 7; `plus`, eq. 8.

    >>> margin = ElasticCosFace(0.35, deviation=0.1, plus=True)
    >>> noise, cosine = jnp.array([-1.0, 0.0, 1.0]), jnp.array([0.1, 0.9, 0.5])
    >>> margin.assigned(noise, cosine).tolist()
    [1.0, -1.0, 0.0]
    """

    deviation: float = traced(0.05)
    plus: bool = False
    paper: ClassVar[str] = "Boutros et al. 2022"
    use: ClassVar[str] = "as `elastic_arcface`, with the steadier margin of CosFace"
