"""Maps between the line and intervals, without parameters.

Rounding could put a result on an end of the open codomain. Results are clipped to its
inside, so that inverses and logarithms stay finite.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

import jax
import jax.numpy as jnp
from jax.nn import softplus

from nfml_jax.bijectors.transforms.transform import Interval, ScalarTransform
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
    """y = exp(x), from the line to the positive numbers.

    >>> y, log_det = Exp().forward_and_log_det(jnp.zeros(0), jnp.array([0.0, 1.0]))
    >>> [round(float(value), 3) for value in y], log_det.tolist()
    ([1.0, 2.718], [0.0, 1.0])
    """

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
    """y = log(1 + exp(x)), from the line to the positive numbers.

    For large x it is close to y = x.

    >>> y, log_det = Softplus().forward_and_log_det(jnp.zeros(0), jnp.array([0.0, 9.0]))
    >>> [round(float(value), 3) for value in y]
    [0.693, 9.0]
    """

    codomain: ClassVar[Interval] = POSITIVE

    def _forward(self, x):
        return jnp.maximum(softplus(x), jnp.finfo(x.dtype).tiny), -softplus(-x)

    def _inverse(self, y):
        log_slope = jnp.log(-jnp.expm1(-jnp.maximum(y, jnp.finfo(y.dtype).tiny)))
        return y + log_slope, -log_slope


@dataclass(frozen=True)
class Rescale(DomainMap):
    """The affine map of the interval `source` onto the interval `target`.

    >>> transform = Rescale(source=(0.0, 256.0), target=(-1.0, 1.0))
    >>> y, _ = transform.forward_and_log_det(jnp.zeros(0), jnp.array([0.0, 128.0]))
    >>> y.tolist()
    [-1.0, 0.0]
    """

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
    # Computed from the nearer end, so that both ends are exact.
    y = jnp.where(x < (a + b) / 2, low + (x - a) * slope, high - (b - x) * slope)
    return y, jnp.full_like(x, math.log(slope))


@dataclass(frozen=True)
class Loft(DomainMap):
    """The identity within ±`threshold`, with logarithmic growth outside (Andrade 2024).

    y = sign(x) (min(|x|, τ) + log(1 + max(|x| - τ, 0))), where τ = `threshold`. It
    bounds the growth of samples in deep flows.

    >>> transform = Loft(threshold=10.0)
    >>> y, _ = transform.forward_and_log_det(jnp.zeros(0), jnp.array([5.0, 1000.0]))
    >>> [round(float(value), 3) for value in y]
    [5.0, 16.899]
    """

    threshold: float = 100.0

    def check_options(self):
        check_number(self, 0.0, threshold=self.threshold)

    def _forward(self, x):
        log_size = jnp.log1p(jnp.maximum(jnp.abs(x) - self.threshold, 0))
        inside = jnp.clip(x, -self.threshold, self.threshold)
        return inside + jnp.sign(x) * log_size, -log_size

    def _inverse(self, y):
        # The largest argument whose exponential is finite.
        most = math.log(jnp.finfo(y.dtype).max) - 1
        log_size = jnp.clip(jnp.abs(y) - self.threshold, 0, most)
        inside = jnp.clip(y, -self.threshold, self.threshold)
        return inside + jnp.sign(y) * jnp.expm1(log_size), log_size
