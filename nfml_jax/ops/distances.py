"""Distances in float32 that neither overflow, vanish nor cancel.

Squares of 1e20 overflow float32 and squares of 1e-23 vanish, so points are divided by a
power of two first. That is exact: distances of ordinary points stay the same to the
last bit. ‖a‖² + ‖b‖² - 2 a·b cancels if two points are near each other and far from the
origin, so the distance of such points is the length of their difference.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from nfml_jax.ops.broadcasting import broadcasting

# A squared distance below this number of units in the last place of ‖a‖² + ‖b‖² has
# cancelled. Above it the cheaper matrix product is right to about 1 %.
CANCELLED = 256.0


def power_of_two(size: jax.Array) -> jax.Array:
    """Return a power of two near each size `[...]` of at least 0, and 1 where it is 0.

    Multiplication and division by it are exact, because it and its inverse are normal
    numbers. It has no gradient.
    """
    info = jnp.finfo(size.dtype)
    least = 4.0 * float(info.tiny)
    size = lax.stop_gradient(size)
    power = lax.reduce_precision(jnp.clip(size, least, 1.0 / least), info.nexp, 0)
    return jnp.where(size > 0.0, power, 1.0)


def largest(x: jax.Array, axis=None, keepdims: bool = False) -> jax.Array:
    """Return the largest absolute value of x over the axis, or 0 of an empty one."""
    size = jnp.abs(lax.stop_gradient(x))
    return jnp.max(size, axis=axis, keepdims=keepdims, initial=0.0)


@broadcasting
def distances(a: jax.Array, b: jax.Array, among: jax.Array | None = None) -> jax.Array:
    """Return the Euclidean distances `[A, B]` of points `[A, D]` and `[B, D]`.

    Equal points are at distance 0, without a gradient.

    Args:
      a: points `[A, D]`.
      b: points `[B, D]`.
      among: a mask `[A, B]` of the pairs that matter, or None for all. Other pairs that
        are nearly equal are at distance 0, too.

    >>> distances(jnp.array([[3.0, 4.0]]), jnp.array([[0.0, 0.0], [3.0, 4.0]])).tolist()
    [[5.0, 0.0]]
    """
    square, near, apart, scale = _squares(a, b, among)
    far = ~(square <= 0.0)  # or NaN
    root = jnp.where(far, jnp.sqrt(jnp.where(far, square, 1.0)), 0.0)
    return jnp.where(near, apart, root * scale)


@broadcasting
def squared_distances(
    a: jax.Array, b: jax.Array, among: jax.Array | None = None
) -> jax.Array:
    """Return the squares `[A, B]` of `distances`, infinite where they overflow."""
    square, near, apart, scale = _squares(a, b, among)
    return jnp.where(near, apart * apart, square * scale * scale)


def _squares(a, b, among):
    """Return squared distances of scaled points, and what `distances` needs as well.

    They are those of `a / scale` and `b / scale`, followed by a mask of the pairs that
    are near each other, the unscaled distances of these pairs, and the scale.
    """
    scale = power_of_two(jnp.maximum(largest(a), largest(b)))
    x, y = a / scale, b / scale
    total = jnp.sum(x * x, axis=-1)[:, None] + jnp.sum(y * y, axis=-1)
    product = jnp.matmul(x, y.T, precision=lax.Precision.HIGHEST)
    square = jnp.maximum(total - 2.0 * product, 0.0)
    near = square <= CANCELLED * float(jnp.finfo(square.dtype).eps) * total
    wanted = near if among is None else near & among
    # Only if some pair needs it, because it takes one row after the other.
    apart = lax.cond(
        jnp.any(wanted), pair_lengths, lambda *_: jnp.minimum(square, 0.0), a, b
    )
    return square, near, apart, scale


@broadcasting
def pair_lengths(a, b):
    """Return the lengths `[A, B]` of the differences of points, without a product.

    Only the result takes memory, because no row's differences are kept.
    """

    @jax.checkpoint
    def row(point):
        apart = point - b
        scale = power_of_two(largest(apart, axis=-1))
        square = jnp.sum((apart / scale[:, None]) ** 2, axis=-1)
        some = square > 0.0
        return jnp.where(some, jnp.sqrt(jnp.where(some, square, 1.0)), 0.0) * scale

    return lax.map(row, a)


def unit(x: np.ndarray) -> np.ndarray:
    """Return vectors `[..., D]` scaled to length one, on the host.

    A zero vector stays zero. Dividing by the largest entry first keeps squares from
    overflowing or vanishing, so any other finite vector gets length one.

    >>> unit(np.array([[3e200, 4e200], [0.0, 0.0]]))
    array([[0.6, 0.8],
           [0. , 0. ]])
    """
    largest = np.max(np.abs(x), axis=-1, keepdims=True)
    x = x / np.where(largest > 0, largest, 1)
    norm = np.sqrt(np.sum(x * x, axis=-1, keepdims=True))
    return x / np.where(norm > 0, norm, 1)
