"""Flows on circles, tori and spheres (Rezende et al. 2020).

A circle is an angle in [-π, π], a torus a vector of angles: there any structure flows,
with circular scalar transforms and conditioners that see the angles through
`OnCircles`. A sphere is the unit vectors `[D]`, which `Sphere` makes an angle and
heights.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

import flax.linen as nn
import jax.numpy as jnp
import numpy as np

from nfml_jax.bijectors.bijector import Bijector
from nfml_jax.bijectors.transforms import ScalarTransform
from nfml_jax.bijectors.transforms.rational_quadratic import RationalQuadratic
from nfml_jax.errors import UserError
from nfml_jax.ops.checks import check_kind
from nfml_jax.ops.values import Value


@dataclass(frozen=True)
class PhaseShift(ScalarTransform):
    """y = x + φ on the circle [-π, π]; circular splines have a turn of their own."""

    domain: ClassVar = (-math.pi, math.pi)
    codomain: ClassVar = (-math.pi, math.pi)
    goes_on: ClassVar[bool] = True

    @property
    def num_params(self) -> int:
        return 1

    def forward_and_log_det(self, raw, x):
        y = _wrap(x + raw[..., 0])
        return y, jnp.zeros_like(y)

    def inverse_and_log_det(self, raw, y):
        x = _wrap(y - raw[..., 0])
        return x, jnp.zeros_like(x)


def _wrap(angle):
    return angle - 2 * math.pi * jnp.round(angle / (2 * math.pi))


class OnCircles(Value):
    """A conditioner of angles: `net` of their cosines and sines, so that ±π are one."""

    net: nn.Module

    def check_options(self):
        check_kind(self, nn.Module, net=self.net)

    def __call__(self, inputs, context, features):
        if inputs is not None:
            inputs = jnp.concatenate([jnp.cos(inputs), jnp.sin(inputs)], axis=-1)
        return self.net(inputs, context, features)


class Sphere(Bijector):
    """A recursive flow of unit vectors `[D]`, D ≥ 2 (Rezende et al. 2020, section 2.3).

    The heights h_k = x_k / √(x_1² + ... + x_k²), k = D ... 3, and the angle of
    (x_1, x_2) are coordinates of the sphere, whose area is Π (1 - h_k²)^((k-3)/2) dh_k
    times dθ. Each is transformed given those before it of y: heights by `interval`, on
    [-1, 1], and the angle by `circle`, on [-π, π]; or by learned numbers alone, without
    a `conditioner`.

    The log-determinant is that of areas: log p_y = log p_x - log_det, both by area of
    the sphere. It is the usual one, too, of the map y = |x| f(x / |x|) of vectors of
    any length, which is what is computed. Within about √ε of a pole of some height, ε
    the precision, the angles around it are rounded.
    """

    interval: ScalarTransform = RationalQuadratic(bound=1.0, tails="box")
    circle: ScalarTransform = RationalQuadratic(bound=math.pi, tails="circular")
    conditioner: nn.Module | None = None

    def check_options(self):
        check_kind(self, ScalarTransform, interval=self.interval, circle=self.circle)
        check_kind(self, nn.Module, optional=True, conditioner=self.conditioner)

    def forward_and_log_det(self, x, context=None):
        return self._map(x, context, inverse=False)

    def inverse_and_log_det(self, y, context=None):
        return self._map(y, context, inverse=True)

    @nn.compact
    def _map(self, x, context, *, inverse):
        size = x.shape[-1]
        if size < 2:
            raise UserError(
                f"Sphere maps unit vectors of two coordinates or more; got {size}."
            )
        radius, heights, angle = _coordinates(x)
        before, after = [*heights, angle], []
        log_det = -_log_area(heights)
        for i, value in enumerate(before):
            transform = self.interval if i < len(heights) else self.circle
            given = jnp.stack((before if inverse else after)[:i], -1) if i else None
            raw = self._raw(i, given, context, transform.num_params).astype(x.dtype)
            step = (
                transform.inverse_and_log_det
                if inverse
                else transform.forward_and_log_det
            )
            value, more = step(raw, value)
            after.append(value)
            log_det += more
        *heights, angle = after
        return _point(radius, heights, angle), log_det + _log_area(heights)

    def _raw(self, i, given, context, features):
        """The parameters of coordinate i, from those before it and the context."""
        if self.conditioner is None or (given is None and context is None):
            return self.param(f"raw_{i}", nn.initializers.zeros, (features,))
        net = self.conditioner.clone(parent=self, name=f"conditioner_{i}")
        return net(given, context, features)


def _coordinates(x):
    """|x|, the heights from the last to the third, and the angle, all `[...]`."""
    square = jnp.cumsum(x**2, axis=-1)
    tiny = jnp.finfo(x.dtype).tiny
    radii = jnp.sqrt(jnp.maximum(square, tiny))
    most = 1 - jnp.finfo(x.dtype).eps
    heights = [
        jnp.clip(x[..., k] / radii[..., k], -most, most)
        for k in reversed(range(2, x.shape[-1]))
    ]
    # At a pole there is no angle: any will do, but not its gradient.
    some = square[..., 1] > tiny
    angle = jnp.arctan2(x[..., 1], jnp.where(some, x[..., 0], 1))
    return radii[..., -1], heights, angle


def _point(radius, heights, angle):
    """The inverse of `_coordinates`."""
    x = []
    for height in heights:
        x.append(radius * height)
        radius = radius * jnp.sqrt(_rest(height))
    x += [radius * jnp.sin(angle), radius * jnp.cos(angle)]
    return jnp.stack(x[::-1], -1)


def _log_area(heights):
    """log Π (1 - h_k²)^((k-3)/2), the heights from the last to the third."""
    powers = (np.arange(len(heights))[::-1]) / 2
    terms = [p * jnp.log(_rest(h)) for p, h in zip(powers, heights, strict=True) if p]
    return sum(terms, start=0.0)


def _rest(height):
    """1 - h², kept from zero as the heights are from one."""
    return jnp.maximum((1 - height) * (1 + height), jnp.finfo(height.dtype).eps)
