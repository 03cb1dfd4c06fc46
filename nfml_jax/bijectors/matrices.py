"""Products with structured matrices, and their inverses, at full precision.

Matrices `[..., M, N]` and vectors `[..., N]` broadcast over their leading axes. By
default accelerators multiply float32 with fewer bits, and a bijector would not invert.
"""

import jax
import jax.numpy as jnp
from flax.linen import initializers

from nfml_jax.ops import control_flow

Array = jax.Array


def multiply(matrix: Array, x: Array) -> Array:
    """Return A x, `[..., M]`."""
    return jnp.einsum("...mn,...n->...m", matrix, x, precision="highest")


def unit_lower(matrix: Array) -> Array:
    """Return the matrix with ones on its diagonal and zeros above."""
    return jnp.tril(matrix, -1) + jnp.eye(matrix.shape[-1], dtype=matrix.dtype)


def unit_upper(matrix: Array) -> Array:
    """Return the matrix with ones on its diagonal and zeros below."""
    return jnp.triu(matrix, 1) + jnp.eye(matrix.shape[-1], dtype=matrix.dtype)


def solve_triangular(matrix: Array, y: Array, *, lower=False, transpose=False) -> Array:
    """Return the x of A x = y, or of Aᵀ x = y; only one triangle of A is read."""

    def solve(matrix, y):
        return jax.scipy.linalg.solve_triangular(
            matrix, y, trans=int(transpose), lower=lower
        )

    return jnp.vectorize(solve, signature="(n,n),(n)->(n)")(matrix, y)


def reflect(vectors: Array, x: Array, *, transpose: bool = False) -> Array:
    """Return Q x, or Qᵀ x, for Q = H₁ ⋯ H_K, reflections along `vectors [..., K, D]`.

    H = I - 2 v vᵀ / ‖v‖², and the identity for v = 0. All are applied at once as
    Q = I - Vᵀ S⁻¹ V, where V has unit rows and S = ½ I + striu(V Vᵀ) (the UT transform,
    Joffrain et al. 2006).
    """
    square = (vectors**2).sum(-1, keepdims=True)
    some = square > jnp.finfo(vectors.dtype).tiny
    unit = jnp.where(some, vectors / jnp.sqrt(jnp.where(some, square, 1)), 0)
    gram = jnp.einsum("...kd,...ld->...kl", unit, unit, precision="highest")
    half = 0.5 * jnp.eye(gram.shape[-1], dtype=gram.dtype)
    along = solve_triangular(
        jnp.triu(gram, 1) + half, multiply(unit, x), transpose=transpose
    )
    return x - multiply(unit.swapaxes(-1, -2), along)


def exponential(matrix: Array) -> Array:
    """Return exp(A) to rounding, for a Frobenius norm of A up to 8.

    It is Taylor's series of exp(A / 16), squared four times. `jax.scipy.linalg.expm`,
    which is for any norm, takes seven times as long to compile.
    """
    unit = jnp.eye(matrix.shape[-1], dtype=matrix.dtype)

    def times(a, b):
        return jnp.matmul(a, b, precision="highest")

    def horner(i, value):
        return unit + times(matrix / 16, value) / (18 - i)

    small = control_flow.fori_loop(0, 18, horner, unit)
    return control_flow.fori_loop(0, 4, lambda _, value: times(value, value), small)


def normal_pairs(key: Array, shape: tuple[int, int], dtype=jnp.float32) -> Array:
    """Return random vectors `[K, D]`, each twice, so that their reflections cancel.

    For an odd K the last vector occurs once.
    """
    count, size = shape
    vectors = initializers.normal(1.0)(key, (-(-count // 2), size), dtype)
    return jnp.repeat(vectors, 2, axis=0)[:count]


def bounded(raw: Array, most: float) -> Array:
    """Return most · tanh(raw / most), which is close to `raw` near zero."""
    return most * jnp.tanh(raw / most)
