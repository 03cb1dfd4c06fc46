"""Polynomial maps: sums of squares (Jaini et al. 2019) and Bernstein's basis.

Bernstein-type flows are those of Ramasinghe et al. 2021. Beyond ±bound both go on along
their tangents: a high power of an input far out is of no use to anyone.
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
    """y = c + ∫₀ˣ Σₖ pₖ(t)² dt, `squares` polynomials pₖ of degree `degree`.

    Jaini et al. 2019, equation 8, in powers of t/bound. The quadrature is exact, and a
    sum of positive terms, which the expanded polynomial is not. The pₖ start as
    different constants, as equals would remain equal.
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

    n = `degree`. It maps [-bound, bound] onto itself, so it serves on that box as well
    as on the line, where the tangents at the ends go on: Ramasinghe et al. 2021,
    section 3. The raw parameters are logits of the coefficients' differences.
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
        # Measured from the middle, neither end is better off than the other.
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
    """Bernstein's polynomials C(n, k) uᵏ vⁿ⁻ᵏ `[..., n + 1]`, where u + v = 1."""
    powers = np.arange(n + 1)
    choose = [math.comb(n, int(k)) for k in powers]
    if max(choose) < float(jnp.finfo(u.dtype).max) ** 0.75:
        choose = np.array(choose, u.dtype)
        return choose * u[..., None] ** powers * v[..., None] ** powers[::-1]
    return _basis_by_logarithms(n, u, v)


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def _basis_by_logarithms(n, u, v):
    """The same where C(n, k) overflows: each polynomial's peak, times its share of it.

    With p = k / n and q = 1 - p, it is C(n, k) pᵏ qⁿ⁻ᵏ exp(k log(u/p) + (n - k)
    log(v/q)), where the exponents stay small around the peak.
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
    # Each derivative is n times a polynomial of one degree less.
    lower = n * _basis(n - 1, *primals)
    none = [(0, 0)] * (lower.ndim - 1)
    in_u, in_v = (jnp.pad(lower, [*none, ends]) for ends in ((1, 0), (0, 1)))
    d_u, d_v = (tangent[..., None] for tangent in tangents)
    return _basis_by_logarithms(n, *primals), in_u * d_u + in_v * d_v
