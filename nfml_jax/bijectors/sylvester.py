"""Sylvester flows (van den Berg et al. 2018): planar flows of many directions."""

import flax.linen as nn
import jax.numpy as jnp

from nfml_jax.bijectors.amortised import amortised
from nfml_jax.bijectors.bijector import Bijector
from nfml_jax.bijectors.matrices import bounded, multiply, reflect
from nfml_jax.bijectors.planar import bend, strength_above
from nfml_jax.bijectors.transforms.numerical_inverse import increasing_inverse
from nfml_jax.ops import control_flow
from nfml_jax.ops.checks import check_choice, check_integer

BASES = ("orthogonal", "householder", "triangular")


class Sylvester(Bijector):
    """y = x + Q R tanh(R̃ Qᵀx + b), Q orthonormal `[D, M]`, R and R̃ upper triangles.

    By Sylvester's identity log det = Σ log(1 + R_ii R̃_ii tanh'(·)), with each product
    of diagonals kept above -1. `basis` says what Q is made of: "orthogonal", a QR
    decomposition; "householder", a product of `reflections` (M by default);
    "triangular", the first M unit vectors, to be alternated with `Reverse`. `rank` is
    M, by default and at most D. With a `conditioner` every parameter follows the
    context. The inverse is exact to rounding: it finds Qᵀx coordinate by coordinate
    from the last, each by one increasing equation.
    """

    basis: str = "householder"
    rank: int | None = None
    reflections: int | None = None
    conditioner: nn.Module | None = None

    def check_options(self):
        check_choice(self, BASES, basis=self.basis)
        check_integer(
            self, 1, optional=True, rank=self.rank, reflections=self.reflections
        )

    def forward_and_log_det(self, x, context=None):
        q, outer, inner, b, strength = self._parameters(x, context)
        at = multiply(inner, multiply(q.swapaxes(-1, -2), x)) + b
        y = x + multiply(q, multiply(outer, jnp.tanh(at)))
        return y, bend(strength, at)[1].sum(-1)

    def inverse_and_log_det(self, y, context=None):
        q, outer, inner, b, strength = self._parameters(y, context)
        at = _back_substitute(
            outer, inner, b, strength, multiply(q.swapaxes(-1, -2), y)
        )
        x = y - multiply(q, multiply(outer, jnp.tanh(at)))
        return x, -bend(strength, at)[1].sum(-1)

    @nn.compact
    def _parameters(self, x, context):
        """Q, R, R̃, b, and the products R_ii R̃_ii `[..., M]`."""
        size = x.shape[-1]
        rank = min(self.rank or size, size)
        rows = {"orthogonal": rank, "householder": self.reflections or rank}
        zeros, normal = nn.initializers.zeros, nn.initializers.normal(1.0)
        given = amortised(
            self,
            context,
            x.dtype,
            vectors=(normal, (rows.get(self.basis, 0), size)),
            outer=(zeros, (rank, rank)),
            inner=(zeros, (rank, rank)),
            b=(zeros, (rank,)),
        )
        # tanh is odd, so that R̃_ii > 0 loses nothing; R = 0 is the identity.
        strength = strength_above(_diagonal(given["outer"]))
        scale = jnp.exp(bounded(_diagonal(given["inner"]), 3.0))
        outer = jnp.triu(given["outer"], 1) + _as_diagonal(strength / scale)
        inner = jnp.triu(given["inner"], 1) + _as_diagonal(scale)
        q = self._columns(given["vectors"], rank, size)
        return q, outer, inner, given["b"], strength

    def _columns(self, vectors, rank, size):
        """Q from the `vectors` that it is made of."""
        first = jnp.eye(size, rank, dtype=vectors.dtype)
        if self.basis == "triangular":
            return first
        if self.basis == "householder":
            return reflect(vectors[..., None, :, :], first.T).swapaxes(-1, -2)
        return jnp.linalg.qr(vectors.swapaxes(-1, -2))[0]


def _diagonal(matrix):
    return jnp.diagonal(matrix, axis1=-2, axis2=-1)


def _as_diagonal(values):
    return values[..., None] * jnp.eye(values.shape[-1], dtype=values.dtype)


def _back_substitute(outer, inner, b, strength, y):
    """The a = R̃ x + b of y = x + R tanh(a), all `[..., M]`."""
    y = jnp.broadcast_to(y, jnp.broadcast_shapes(y.shape, b.shape))

    def step(found, i):
        # Rows count only what is found, as the rest is still zero.
        x, tanh = found
        row, inner_row = outer[..., i, :], inner[..., i, :]
        left = y[..., i] - (row * tanh).sum(-1)
        shift = b[..., i] + (inner_row * x).sum(-1)
        at = increasing_inverse(
            bend, strength[..., i], inner_row[..., i] * left + shift
        )
        tanh_i = jnp.tanh(at)
        x = x.at[..., i].set(left - row[..., i] * tanh_i)
        return (x, tanh.at[..., i].set(tanh_i)), at

    none = jnp.zeros_like(y), jnp.zeros_like(y)
    _, at = control_flow.scan(step, none, jnp.arange(y.shape[-1]), reverse=True)
    return jnp.moveaxis(at, 0, -1)
