"""Increasing maps as integrals of positive functions, by quadrature.

Sum-of-squares polynomials and unconstrained monotone networks are made this way.
"""

from dataclasses import dataclass, field
from functools import partial

import jax
import numpy as np

from nfml_jax.bijectors.transforms.numerical_inverse import (
    NumericallyInverted,
    with_linear_tails,
)
from nfml_jax.ops.broadcasting import broadcasting
from nfml_jax.ops.checks import check_number

Array = jax.Array


@dataclass(frozen=True)
class Integral(NumericallyInverted):
    """y = shift + ∫₀ˣ f(t) dt with f > 0, where f is constant beyond ±`bound`.

    A subclass implements `density`, which is f, and the quadrature's `rule`. The value
    is that of the quadrature, and its derivative in x is f(x) itself. The inverse is
    that of the value. The first of the raw parameters is the shift.
    """

    bound: float = field(default=3.0, kw_only=True)

    def check_options(self):
        super().check_options()
        check_number(self, above=0.0, bound=self.bound)

    def density(self, raw: Array, t: Array) -> Array:
        """Return f(t) > 0 of t's shape, broadcast over `raw [..., num_params - 1]`."""
        raise NotImplementedError

    def rule(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the nodes and weights of the quadrature on [0, 1]."""
        raise NotImplementedError

    def curve(self, raw, x):
        shift, raw = raw[..., 0], raw[..., 1:]

        def inside(x):
            return _integral(self, raw, x), self.density(raw, x)

        y, slope = with_linear_tails(inside, x, self.bound)
        return y + shift, slope


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def _integral(transform, raw, x):
    return _quadrature(transform, raw, x)


@_integral.defjvp
@broadcasting
def _(transform, primals, tangents):
    (raw, x), (d_raw, d_x) = primals, tangents
    y, d_y = jax.jvp(lambda raw: _quadrature(transform, raw, x), (raw,), (d_raw,))
    return y, d_y + transform.density(raw, x) * d_x


def _quadrature(transform, raw, x):
    nodes, weights = (np.asarray(array, x.dtype) for array in transform.rule())
    values = transform.density(raw[..., None, :], x[..., None] * nodes)
    return x * (values * weights).sum(-1)


def gauss_legendre(nodes: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the rule on [0, 1] that is exact for polynomials of degree 2 nodes - 1."""
    places, weights = np.polynomial.legendre.leggauss(nodes)
    return (places + 1) / 2, weights / 2


def clenshaw_curtis(nodes: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the rule on [0, 1] at the extrema of a Chebyshev polynomial.

    `nodes` is odd. The weights integrate T₂ⱼ exactly (Waldvogel 2006, section 1).
    """
    n = nodes - 1
    angles = np.pi * np.arange(nodes) / n
    even = np.arange(2, n + 1, 2)
    shares = np.where(even == n, 1, 2) / (even**2 - 1)
    weights = 1 - (shares * np.cos(np.outer(angles, even))).sum(-1)
    weights[[0, -1]] /= 2
    return (1 - np.cos(angles)) / 2, weights / n
