"""The identity plus a matrix of low rank, as a linear map."""

import flax.linen as nn
import jax.numpy as jnp

from nfml_jax.bijectors.linear import ZEROS, Linear
from nfml_jax.bijectors.matrices import (
    multiply,
    reflect,
    solve_triangular,
    unit_lower,
    unit_upper,
)
from nfml_jax.ops.checks import check_integer


class LowRank(Linear):
    """W = I + U Vᵀ with `rank` columns in U and V, at a cost of D · rank.

    By the matrix determinant lemma det W = det(I + Vᵀ U). V is orthonormal, and
    U = V (C - I) + (I - V Vᵀ) Y for any Y, so that I + Vᵀ U = C. C = L diag(s) R is
    invertible, as in `LU`. This form gives every U with det C > 0 whose C needs no
    pivots.

    >>> import jax
    >>> layer, x = LowRank(rank=2), jnp.array([[0.0, 0.5, 1.0]])
    >>> variables = layer.init(jax.random.key(0), x)
    >>> variables["params"]["across"].shape
    (3, 2)
    >>> y, log_det = layer.apply(variables, x)
    >>> y.shape, log_det.tolist()
    ((1, 3), [0.0])
    """

    rank: int = 4

    def check_options(self):
        super().check_options()
        check_integer(self, 1, rank=self.rank)

    def shapes(self, size):
        rank = min(self.rank, size)
        return {
            "vectors": (nn.initializers.normal(1.0), (rank, size)),
            "across": (ZEROS, (size, rank)),
            "triangles": (ZEROS, (rank, rank)),
        }

    def scales(self, size):
        return min(self.rank, size)

    def times(self, weights, scale, x):
        basis, across = self._columns(weights)
        along = multiply(basis.T, x)
        core = scale * multiply(unit_upper(weights["triangles"]), along)
        core = multiply(unit_lower(weights["triangles"]), core)
        return x + multiply(basis, core - along) + multiply(across, along)

    def solve(self, weights, scale, y):
        # Woodbury: W⁻¹ = I - U C⁻¹ Vᵀ.
        basis, across = self._columns(weights)
        core = multiply(basis.T, y)
        along = solve_triangular(unit_lower(weights["triangles"]), core, lower=True)
        along = solve_triangular(unit_upper(weights["triangles"]), along / scale)
        return y + multiply(basis, along - core) - multiply(across, along)

    def _columns(self, weights):
        """Return V and the part of U that is orthogonal to it, both `[D, rank]`."""
        across = weights["across"]
        first = jnp.eye(across.shape[1], across.shape[0], dtype=across.dtype)
        basis = reflect(weights["vectors"], first).T
        inside = jnp.matmul(basis.T, across, precision="highest")
        return basis, across - jnp.matmul(basis, inside, precision="highest")
