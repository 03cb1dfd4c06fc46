"""Polynomial maps: sums of squares (Jaini et al. 2019) and Bernstein's basis.

Bernstein-type flows are those of Ramasinghe et al. 2021. Beyond ±bound both go on along
their tangents: a high power of an input far out is of no use to anyone.
"""

import math
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from nfml_jax.bijectors.transforms.integrals import Integral, gauss_legendre
from nfml_jax.bijectors.transforms.numerical_inverse import (
    NumericallyInverted,
    with_linear_tails,
)
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
        powers = np.arange(n)
        choose = np.array([math.comb(n - 1, k) for k in powers], x.dtype)

        def inside(x):
            u, v = (bound + x) / (2 * bound), (bound - x) / (2 * bound)
            basis = choose * u[..., None] ** powers * v[..., None] ** powers[::-1]
            y = (basis * (middle + (u - v)[..., None] * steps / 2)).sum(-1)
            return y, n / (2 * bound) * (basis * steps).sum(-1)

        return with_linear_tails(inside, x, bound)
