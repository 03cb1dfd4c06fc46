"""Maps between the line and its parts, with nothing to learn.

Results are kept inside the open codomain where rounding would put them on its end, so
that what maps back, or takes a logarithm, stays finite.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

import jax
import jax.numpy as jnp
from jax.nn import sigmoid, softplus

from nfml_jax.bijectors.transforms.transform import (
    Interval,
    ScalarTransform,
    kept_within,
)
from nfml_jax.ops.checks import check_interval, check_number

POSITIVE: Interval = (0.0, math.inf)


class DomainMap(ScalarTransform):
    """A map without parameters: `raw` is `[..., 0]`, and only its shape is used."""

    has_identity: ClassVar[bool] = False
    closed: ClassVar[bool] = False

    @property
    def num_params(self) -> int:
        return 0

    def forward_and_log_det(self, raw, x):
        return self._forward(_broadcast(raw, x))

    def inverse_and_log_det(self, raw, y):
        return self._inverse(_broadcast(raw, y))

    def _forward(self, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        raise NotImplementedError

    def _inverse(self, y: jax.Array) -> tuple[jax.Array, jax.Array]:
        raise NotImplementedError


def _broadcast(raw, x):
    return jnp.broadcast_to(x, jnp.broadcast_shapes(raw.shape[:-1], x.shape))


@dataclass(frozen=True)
class Exp(DomainMap):
    """y = exp(x), from the line to the positive numbers."""

    codomain: ClassVar[Interval] = POSITIVE

    def _forward(self, x):
        info = jnp.finfo(x.dtype)
        x = jnp.clip(x, math.log(info.tiny) + 1, math.log(info.max) - 1)
        return jnp.exp(x), x

    def _inverse(self, y):
        x = jnp.log(jnp.maximum(y, jnp.finfo(y.dtype).tiny))
        return x, -x


@dataclass(frozen=True)
class Softplus(DomainMap):
    """y = log(1 + exp(x)), from the line to the positive numbers; far out y = x."""

    codomain: ClassVar[Interval] = POSITIVE

    def _forward(self, x):
        return jnp.maximum(softplus(x), jnp.finfo(x.dtype).tiny), -softplus(-x)

    def _inverse(self, y):
        log_slope = jnp.log(-jnp.expm1(-jnp.maximum(y, jnp.finfo(y.dtype).tiny)))
        return y + log_slope, -log_slope


@dataclass(frozen=True)
class Sigmoid(DomainMap):
    """y = low + (high - low) / (1 + exp(-x)), from the line to the interval."""

    low: float = 0.0
    high: float = 1.0

    def check_options(self):
        check_interval(self, low_and_high=(self.low, self.high))

    @property
    def codomain(self) -> Interval:
        return self.low, self.high

    def _forward(self, x):
        width = self.high - self.low
        y = kept_within(self.low + width * sigmoid(x), (self.low, self.high))
        return y, math.log(width) - softplus(x) - softplus(-x)

    def _inverse(self, y):
        y = kept_within(y, (self.low, self.high))
        up, down = jnp.log(y - self.low), jnp.log(self.high - y)
        return up - down, math.log(self.high - self.low) - up - down


@dataclass(frozen=True)
class Logit(DomainMap):
    """The inverse of `Sigmoid`, from the interval to the line."""

    low: float = 0.0
    high: float = 1.0

    def check_options(self):
        check_interval(self, low_and_high=(self.low, self.high))

    @property
    def domain(self) -> Interval:
        return self.low, self.high

    def _forward(self, x):
        return Sigmoid(self.low, self.high)._inverse(x)

    def _inverse(self, y):
        return Sigmoid(self.low, self.high)._forward(y)


@dataclass(frozen=True)
class Tanh(DomainMap):
    """y = tanh(x), from the line to (-1, 1)."""

    codomain: ClassVar[Interval] = (-1.0, 1.0)

    def _forward(self, x):
        return kept_within(jnp.tanh(x), self.codomain), 2 * (
            math.log(2) - x - softplus(-2 * x)
        )

    def _inverse(self, y):
        y = kept_within(y, self.codomain)
        up, down = jnp.log1p(y), jnp.log1p(-y)
        return (up - down) / 2, -up - down


@dataclass(frozen=True)
class Rescale(DomainMap):
    """The affine map of the interval `source` onto the interval `target`."""

    source: Interval = (0.0, 1.0)
    target: Interval = (-1.0, 1.0)

    closed: ClassVar[bool] = True

    def check_options(self):
        check_interval(self, source=self.source, target=self.target)

    @property
    def domain(self) -> Interval:
        return self.source

    @property
    def codomain(self) -> Interval:
        return self.target

    def _forward(self, x):
        return _rescale(x, self.source, self.target)

    def _inverse(self, y):
        return _rescale(y, self.target, self.source)


def _rescale(x, source, target):
    (a, b), (low, high) = source, target
    slope = (high - low) / (b - a)
    # From the nearer end, so that both ends are met exactly.
    y = jnp.where(x < (a + b) / 2, low + (x - a) * slope, high - (b - x) * slope)
    return y, jnp.full_like(x, math.log(slope))


@dataclass(frozen=True)
class Loft(DomainMap):
    """The identity within ±`threshold`, beyond it as slow as the logarithm.

    y = sign(x) (min(|x|, τ) + log(1 + max(|x| - τ, 0))): Andrade 2024, which keeps
    the samples of deep flows from running away.
    """

    threshold: float = 100.0

    def check_options(self):
        check_number(self, 0.0, threshold=self.threshold)

    def _forward(self, x):
        log_size = jnp.log1p(jnp.maximum(jnp.abs(x) - self.threshold, 0))
        inside = jnp.clip(x, -self.threshold, self.threshold)
        return inside + jnp.sign(x) * log_size, -log_size

    def _inverse(self, y):
        # As far as numbers go.
        most = math.log(jnp.finfo(y.dtype).max) - 1
        log_size = jnp.clip(jnp.abs(y) - self.threshold, 0, most)
        inside = jnp.clip(y, -self.threshold, self.threshold)
        return inside + jnp.sign(y) * jnp.expm1(log_size), log_size
