"""The four energies on the plane of Rezende and Mohamed (ICML 2015, Table 1).

A density is proportional to exp(-U). U₂ to U₄ are periodic along x₁, so that only a box
or a penalty makes them densities. The penalty is Σ max(|x| - 6, 0)², that of De Cao et
al., "Block Neural Autoregressive Flow" (UAI 2019).
"""

from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp

Array = jax.Array

BOX = 4.0
"""Half the side of the square over which `log_z_box` integrates."""
PENALTY_FROM = 6.0
SQUARE = ((-10.0, 10.0), (-10.0, 10.0))
"""A square that contains all but 1e-8 of every energy's density with the penalty."""


@dataclass(frozen=True)
class Energy:
    """An energy U on the plane, and the log normalizers of its two densities.

    Attributes:
      potential: The function U(x) `[...]` of `x [..., 2]`.
      log_z: log ∫ exp(-U - penalty) over the plane.
      log_z_box: log ∫ exp(-U) over |x₁|, |x₂| ≤ 4.
      event_dim: The number of coordinates, 2.

    Both normalizers are from Gauss-Legendre quadrature in float64, with 500 nodes along
    each of the intervals between 0, 4 or 6, and 14 on either side. 300 nodes give the
    same to nine digits.

    >>> round(float(ENERGIES["u1"].log_density(jnp.array([0.0, 2.0]))), 3)
    -4.862
    """

    potential: Callable[[Array], Array]
    log_z: float
    log_z_box: float
    event_dim: int = 2

    def log_density(self, x: Array) -> Array:
        """Return -U - penalty, `[...]`; its exp integrates to exp(`log_z`)."""
        outside = jnp.maximum(jnp.abs(x) - PENALTY_FROM, 0)
        return -self.potential(x) - (outside**2).sum(-1)

    def log_density_box(self, x: Array) -> Array:
        """Return -U in the box and -∞ outside, for flows whose image is the box."""
        inside = (jnp.abs(x) <= BOX).all(-1)
        return jnp.where(inside, -self.potential(x), -jnp.inf)


def _normal(x, scale):
    """Return the exponent of a normal density."""
    return -0.5 * (x / scale) ** 2


def _w1(x):
    return jnp.sin(jnp.pi * x / 2)


def _w2(x):
    return 3 * jnp.exp(_normal(x - 1, 0.6))


def _w3(x):
    return 3 * jax.nn.sigmoid((x - 1) / 0.3)


def _u1(x):
    square = (x**2).sum(-1)
    # The gradient of the square root is infinite at the origin.
    norm = jnp.where(square > 0, jnp.sqrt(jnp.where(square > 0, square, 1)), 0)
    sides = jnp.logaddexp(_normal(x[..., 0] - 2, 0.6), _normal(x[..., 0] + 2, 0.6))
    return -_normal(norm - 2, 0.4) - sides


def _u2(x):
    return -_normal(x[..., 1] - _w1(x[..., 0]), 0.4)


def _u3(x):
    off = x[..., 1] - _w1(x[..., 0])
    return -jnp.logaddexp(_normal(off, 0.35), _normal(off + _w2(x[..., 0]), 0.35))


def _u4(x):
    off = x[..., 1] - _w1(x[..., 0])
    return -jnp.logaddexp(_normal(off, 0.4), _normal(off + _w3(x[..., 0]), 0.35))


ENERGIES = {
    "u1": Energy(_u1, log_z=1.877501626, log_z_box=1.877501617),
    "u2": Energy(_u2, log_z=2.625318301, log_z_box=2.082089343),
    "u3": Energy(_u3, log_z=3.184934089, log_z_box=2.641705131),
    "u4": Energy(_u4, log_z=3.253926960, log_z_box=2.684567670),
}
