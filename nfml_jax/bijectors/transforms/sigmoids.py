"""Sigmoids and their inverses: maps between the line and a bounded interval."""

import math
from dataclasses import dataclass
from typing import ClassVar

import jax.numpy as jnp
from jax.nn import sigmoid, softplus

from nfml_jax.bijectors.transforms.domains import DomainMap
from nfml_jax.bijectors.transforms.transform import Interval, kept_within
from nfml_jax.ops.checks import check_interval, check_number


@dataclass(frozen=True)
class Sigmoid(DomainMap):
    """y = low + (high - low) / (1 + exp(-x)), from the line to (low, high).

    >>> y, log_det = Sigmoid().forward_and_log_det(jnp.zeros(0), jnp.array([0.0, 2.0]))
    >>> [round(float(value), 3) for value in (*y, *log_det)]
    [0.5, 0.881, -1.386, -2.254]
    """

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
    """The inverse of `Sigmoid`, from (low, high) to the line.

    >>> y, log_det = Logit().forward_and_log_det(jnp.zeros(0), jnp.array([0.5, 0.88]))
    >>> [round(float(value), 3) for value in (*y, *log_det)]
    [0.0, 1.992, 1.386, 2.248]
    """

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
class PixelSigmoid(DomainMap):
    """y = (sigmoid(x) - α) / (1 - 2α): from the line to pixels, a little beyond [0, 1].

    Its inverse is the logit of α + (1 - 2α) y (Dinh et al. 2017, section 4.1): the
    larger α, the less the ends 0 and 1 are stretched. In float32 the inverse followed
    by the map gives a pixel back to its level of 65,536, if it was dequantized by
    `nfml_jax.bijectors.Dequantize`.

    >>> y, log_det = PixelSigmoid(0.05).forward_and_log_det(jnp.zeros(0), jnp.zeros(1))
    >>> [round(float(value), 3) for value in (*y, *log_det)]
    [0.5, -1.281]
    """

    alpha: float = 1e-6

    def check_options(self):
        check_number(self, 0.0, below=0.5, alpha=self.alpha)

    @property
    def codomain(self) -> Interval:
        beyond = self.alpha / (1 - 2 * self.alpha)
        return -beyond, 1 + beyond

    def _forward(self, x):
        # From the nearer end.
        low, high = (_beyond(sigmoid(s * x), self.alpha) for s in (1, -1))
        y = kept_within(jnp.where(x < 0, low, 1 - high), self.codomain)
        log_scale = -math.log1p(-2 * self.alpha)
        return y, log_scale - softplus(x) - softplus(-x)

    def _inverse(self, y):
        y = kept_within(y, self.codomain)
        scale = 1 - 2 * self.alpha
        up = jnp.log(self.alpha + scale * y)
        down = jnp.log(self.alpha + scale * (1 - y))
        return up - down, math.log(scale) - up - down


def _beyond(share, alpha):
    return (share - alpha) / (1 - 2 * alpha)


@dataclass(frozen=True)
class Tanh(DomainMap):
    """y = tanh(x), from the line to (-1, 1).

    >>> y, log_det = Tanh().forward_and_log_det(jnp.zeros(0), jnp.array([0.0, 1.0]))
    >>> [round(float(value), 3) for value in (*y, *log_det)]
    [0.0, 0.762, 0.0, -0.868]
    """

    codomain: ClassVar[Interval] = (-1.0, 1.0)

    def _forward(self, x):
        return kept_within(jnp.tanh(x), self.codomain), 2 * (
            math.log(2) - x - softplus(-2 * x)
        )

    def _inverse(self, y):
        y = kept_within(y, self.codomain)
        up, down = jnp.log1p(y), jnp.log1p(-y)
        return (up - down) / 2, -up - down
