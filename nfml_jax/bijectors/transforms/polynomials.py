"""Polynomial maps: sums of squares (Jaini et al. 2019) and Bernstein's basis.

Bernstein-type flows are those of Ramasinghe et al. 2021. Beyond ±bound both continue
along their tangents, as high powers of distant inputs would overflow.
"""

import math
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from nfml_jax.bijectors.transforms.integrals import Integral, gauss_legendre
from nfml_jax.bijectors.transforms.numerical_inverse import (
    NumericallyInverted,
    with_linear_tails,
)
from nfml_jax.ops.broadcasting import broadcasting
from nfml_jax.ops.checks import check_integer, check_number


@dataclass(frozen=True)
class SumOfSquares(Integral):
    """y = c + ∫₀ˣ Σₖ pₖ(t)² dt, with `squares` polynomials pₖ of degree `degree`.

    The source is Jaini et al. 2019, equation 8, here in powers of t/bound. The
    quadrature is exact, and unlike the expanded polynomial it is a sum of positive
    terms. The pₖ start as different constants, as equal ones would remain equal.

    >>> transform = SumOfSquares(squares=2, degree=2)
    >>> raw = jnp.zeros(transform.num_params)
    >>> y, log_det = transform.forward_and_log_det(raw, jnp.array([0.0, 1.0]))
    >>> [round(float(value), 3) for value in y]
    [0.0, 1.0]
    """

    squares: int = 3
    degree: int = 4

    def check_options(self):
        super().check_options()
        check_integer(self, 1, squares=self.squares)
        check_integer(self, 0, degree=self.degree)

    @property
    def num_params(self) -> int:
        return 1 + self.squares * (self.degree + 1)

    def rule(self):
        return gauss_legendre(self.degree + 1)

    def density(self, raw, t):
        raw = raw.reshape(*raw.shape[:-1], self.squares, self.degree + 1)
        constants = np.arange(1, self.squares + 1) / self.squares
        constants /= np.linalg.norm(constants)
        t = t[..., None] / self.bound
        values = jnp.zeros_like(t)
        for power in range(self.degree, -1, -1):
            values = values * t + raw[..., power]
        return jnp.square(values + constants.astype(t.dtype)).sum(-1)


@dataclass(frozen=True)
class Bernstein(NumericallyInverted):
    """y = Σₖ αₖ C(n, k) uᵏ (1 - u)ⁿ⁻ᵏ, α increasing, u = (x + bound) / (2 bound).

    n is `degree`. The map takes [-bound, bound] onto itself, so it can be used on that
    box as well as on the line, where it continues along the tangents at the ends
    (Ramasinghe et al. 2021, section 3). The raw parameters are the logits of the
    coefficients' differences.

    >>> transform = Bernstein(degree=4)
    >>> y, log_det = transform.forward_and_log_det(jnp.zeros(4), jnp.array([0.0, 1.0]))
    >>> [round(float(value), 3) for value in y]
    [0.0, 1.0]
    """

    degree: int = 24
    bound: float = 3.0

    def check_options(self):
        super().check_options()
        check_integer(self, 1, degree=self.degree)
        check_number(self, above=0.0, bound=self.bound)

    @property
    def num_params(self) -> int:
        return self.degree

    def curve(self, raw, x):
        n, bound = self.degree, self.bound
        steps = 2 * bound * jax.nn.softmax(raw)
        # Computed from the middle, so that both ends have the same rounding errors.
        before = jnp.cumsum(steps, axis=-1) - steps
        after = jnp.flip(jnp.cumsum(jnp.flip(steps, -1), axis=-1), -1) - steps
        middle = (before - after) / 2

        def inside(x):
            u, v = (bound + x) / (2 * bound), (bound - x) / (2 * bound)
            basis = _basis(n - 1, u, v)
            y = (basis * (middle + (u - v)[..., None] * steps / 2)).sum(-1)
            return y, n / (2 * bound) * (basis * steps).sum(-1)

        return with_linear_tails(inside, x, bound)


def _basis(n, u, v):
    """Return Bernstein's polynomials C(n, k) uᵏ vⁿ⁻ᵏ `[..., n + 1]`, with u + v = 1."""
    powers = np.arange(n + 1)
    choose = [math.comb(n, int(k)) for k in powers]
    if max(choose) < float(jnp.finfo(u.dtype).max) ** 0.75:
        choose = np.array(choose, u.dtype)
        return choose * u[..., None] ** powers * v[..., None] ** powers[::-1]
    return _basis_by_logarithms(n, u, v)


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def _basis_by_logarithms(n, u, v):
    """Return Bernstein's polynomials where C(n, k) overflows.

    Each is its peak times the ratio to the peak. With p = k / n and q = 1 - p, it is
    C(n, k) pᵏ qⁿ⁻ᵏ exp(k log(u/p) + (n - k) log(v/q)), where the exponents are small
    around the peak.
    """
    k = np.arange(n + 1)
    p, q = np.maximum(k, 1) / n, np.maximum(n - k, 1) / n
    log_choose = math.lgamma(n + 1) - np.array(
        [math.lgamma(i + 1) + math.lgamma(n - i + 1) for i in k]
    )
    peak = np.exp(log_choose + k * np.log(p) + (n - k) * np.log(q)).astype(u.dtype)
    tiny = jnp.finfo(u.dtype).tiny
    logs = [
        (count * jnp.log(jnp.maximum(part[..., None], tiny) / share.astype(u.dtype)))
        for count, part, share in ((k, u, p), (n - k, v, q))
    ]
    return peak * jnp.exp(sum(logs))


@_basis_by_logarithms.defjvp
@broadcasting
def _(n, primals, tangents):
    # Each derivative is n times a polynomial whose degree is lower by one.
    lower = n * _basis(n - 1, *primals)
    none = [(0, 0)] * (lower.ndim - 1)
    in_u, in_v = (jnp.pad(lower, [*none, ends]) for ends in ((1, 0), (0, 1)))
    d_u, d_v = (tangent[..., None] for tangent in tangents)
    return _basis_by_logarithms(n, *primals), in_u * d_u + in_v * d_v
