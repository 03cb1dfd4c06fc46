"""Flows on circles, tori and spheres (Rezende et al. 2020).

A point of a circle is an angle in [-π, π], and a point of a torus a vector of angles.
On these every structure works, with circular scalar transforms, and with conditioners
that receive the angles through `OnCircles`. A point of a sphere is a unit vector `[D]`,
which `Sphere` represents by an angle and heights.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

import flax.linen as nn
import jax.numpy as jnp

from nfml_jax.bijectors.bijector import Bijector
from nfml_jax.bijectors.transforms import ScalarTransform
from nfml_jax.bijectors.transforms.rational_quadratic import RationalQuadratic
from nfml_jax.errors import UserError
from nfml_jax.ops.checks import check_kind
from nfml_jax.ops.values import Value


@dataclass(frozen=True)
class PhaseShift(ScalarTransform):
    """y = x + φ on the circle [-π, π]; a circular spline includes such a shift.

    >>> y, log_det = PhaseShift().forward_and_log_det(jnp.array([1.0]), jnp.array(3.0))
    >>> round(float(y), 3), float(log_det)  # 4 - 2π
    (-2.283, 0.0)
    """

    domain: ClassVar = (-math.pi, math.pi)
    codomain: ClassVar = (-math.pi, math.pi)
    periodic: ClassVar[bool] = True

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
    """A conditioner of angles: `net` of their cosines and sines.

    So the result is the same for -π and π.

    >>> import jax
    >>> from nfml_jax.nets import MLP
    >>> conditioner = OnCircles(MLP(hidden=(8,)))
    >>> angles = jnp.array([[0.0, 0.5, 1.0]])
    >>> variables = conditioner.init(jax.random.key(0), angles, None, 2)
    >>> variables["params"]["net"]["Dense_0"]["kernel"].shape
    (6, 8)
    """

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
    (x_1, x_2) are coordinates of the sphere. Its area is Π (1 - h_k²)^((k-3)/2) dh_k
    times dθ. Each coordinate is transformed given the earlier ones of y.

    Attributes:
      interval: The scalar transform of heights, on [-1, 1].
      circle: The scalar transform of the angle, on [-π, π].
      conditioner: A module that computes the parameters from the earlier coordinates.
        Without one they are learned numbers.

    The log-determinant is that of areas: log p_y = log p_x - log_det, where both
    densities are with respect to the area of the sphere. It is also the usual
    log-determinant of y = |x| f(x / |x|), the map of vectors of any length that is
    computed. Within about √ε of the pole of a height, where ε is the precision, the
    angles around it are rounded. Fewer than 2 coordinates raise UserError.

    >>> x = jnp.array([[0.6, 0.8]])
    >>> layer = Sphere(circle=PhaseShift())
    >>> variables = {"params": {"raw_0": jnp.array([math.pi / 2])}}
    >>> y, log_det = layer.apply(variables, x)
    >>> [round(float(value), 3) for value in y[0]], log_det.tolist()
    ([-0.8, 0.6], [0.0])
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
        """Return the parameters of coordinate i, given earlier ones and the context."""
        if self.conditioner is None or (given is None and context is None):
            return self.param(f"raw_{i}", nn.initializers.zeros, (features,))
        net = self.conditioner.clone(parent=self, name=f"conditioner_{i}")
        return net(given, context, features)


def _coordinates(x):
    """Return |x|, the heights from last to third, and the angle, all `[...]`."""
    square = jnp.cumsum(x**2, axis=-1)
    tiny = jnp.finfo(x.dtype).tiny
    radii = jnp.sqrt(jnp.maximum(square, tiny))
    most = 1 - jnp.finfo(x.dtype).eps
    heights = [
        jnp.clip(x[..., k] / radii[..., k], -most, most)
        for k in reversed(range(2, x.shape[-1]))
    ]
    # At a pole the angle is arbitrary, but its gradient must be finite.
    some = square[..., 1] > tiny
    angle = jnp.arctan2(x[..., 1], jnp.where(some, x[..., 0], 1))
    return radii[..., -1], heights, angle


def _point(radius, heights, angle):
    """Return the vector with these coordinates; the inverse of `_coordinates`."""
    x = []
    for height in heights:
        x.append(radius * height)
        radius = radius * jnp.sqrt(_rest(height))
    x += [radius * jnp.sin(angle), radius * jnp.cos(angle)]
    return jnp.stack(x[::-1], -1)


def _log_area(heights):
    """Return log Π (1 - h_k²)^((k-3)/2) of the heights from the last to the third."""
    powers = [k / 2 for k in reversed(range(len(heights)))]
    terms = [p * jnp.log(_rest(h)) for p, h in zip(powers, heights, strict=True) if p]
    return sum(terms, start=0.0)


def _rest(height):
    """Return 1 - h², bounded away from zero as the heights are from one."""
    return jnp.maximum((1 - height) * (1 + height), jnp.finfo(height.dtype).eps)
