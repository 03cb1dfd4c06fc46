"""Functions of an angle, computed from its cosine without the arccosine.

The arccosine has an infinite slope at ±1, where trained embeddings end up. Everything
here is finite there, in value and in gradient, in the precision of its argument.
"""

import math
import numbers
from typing import TypeGuard

import jax
import jax.numpy as jnp

from nfml_jax.ops.distances import largest, power_of_two

# Only the zero vector is below it, once vectors are scaled.
SQUARED_NORM_FLOOR = 1e-12


def direction_and_norm(vectors: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Return the unit vectors `[..., D]` and norms `[...]` of vectors `[..., D]`.

    Vectors are divided by a power of two first, so that squares neither overflow nor
    vanish. The zero vector has direction 0 and norm 1e-6, which keeps the gradient
    finite. `direction * norm` is the vector itself, with gradient one.

    >>> direction, norm = direction_and_norm(jnp.array([[0.0, -4.0]]))
    >>> direction.tolist(), norm.tolist()
    ([[0.0, -1.0]], [4.0])
    """
    scale = power_of_two(largest(vectors, axis=-1, keepdims=True))
    scaled = vectors / scale
    squared = jnp.sum(scaled * scaled, axis=-1)
    norm = jnp.sqrt(jnp.maximum(squared, SQUARED_NORM_FLOOR))
    return scaled / norm[..., None], norm * scale[..., 0]


def sine(cosine: jax.Array) -> jax.Array:
    """Return sin θ in [0, 1] from cos θ in [-1, 1].

    Its gradient at ±1 is zero, not infinite. (1 - c)(1 + c) keeps the digits that 1 -
    c² loses near ±1.

    >>> sine(jnp.array([-1.0, 0.0])).tolist()
    [0.0, 1.0]
    """
    squared = (1.0 - cosine) * (1.0 + cosine)
    inside = squared > 0.0
    return jnp.where(inside, jnp.sqrt(jnp.where(inside, squared, 1.0)), 0.0)


def angle(cosine: jax.Array) -> jax.Array:
    """Return θ in [0, π] radians from cos θ in [-1, 1], with a finite gradient at ±1.

    >>> round(float(angle(jnp.array(0.5))), 4)  # π / 3
    1.0472
    """
    return jnp.arctan2(sine(cosine), cosine)


def is_plain_number(value) -> TypeGuard[float]:
    """Return whether a margin is a number of Python or NumPy, known before tracing."""
    return isinstance(value, numbers.Real)


def multiple_angle(cosine: jax.Array, multiple) -> tuple[jax.Array, jax.Array]:
    """Return cos mθ and sin mθ from cos θ in [-1, 1].

    If m, the `multiple`, is an integer, they are the Chebyshev polynomials T_m and sin
    θ · U_{m-1}. A real or traced m goes through the angle.

    >>> cosine, sine_ = multiple_angle(jnp.array(0.5), 2)
    >>> round(float(cosine), 4), round(float(sine_), 4)
    (-0.5, 0.866)
    """
    if not (is_plain_number(multiple) and float(multiple).is_integer()):
        scaled = multiple * angle(cosine)
        return jnp.cos(scaled), jnp.sin(scaled)
    first, first_before = cosine, jnp.ones_like(cosine)
    second, second_before = jnp.ones_like(cosine), jnp.zeros_like(cosine)
    for _ in range(int(multiple) - 1):
        first, first_before = 2.0 * cosine * first - first_before, first
        second, second_before = 2.0 * cosine * second - second_before, second
    return first, sine(cosine) * second


def unfolded_cosine(cosine: jax.Array, multiple) -> jax.Array:
    """Return ψ(θ) = (-1)^k cos mθ - 2k with k = ⌊mθ/π⌋, which falls up to θ = π.

    Args:
      cosine: cos θ `[...]`.
      multiple: m ≥ 1, a number or a traced scalar.

    L-Softmax (Liu et al. 2016), eq. 6; SphereFace (Liu et al. 2017), eq. 7.

    >>> unfolded_cosine(jnp.array([1.0, -1.0]), 2).tolist()
    [1.0, -3.0]
    """
    folded, _ = multiple_angle(cosine, multiple)
    if is_plain_number(multiple):
        turns = range(1, math.floor(multiple) + 1)
        k = sum((cosine < math.cos(j * math.pi / multiple)) * 1.0 for j in turns)
    else:
        k = jnp.floor(jax.lax.stop_gradient(multiple * angle(cosine)) / jnp.pi)
    sign = 1.0 - 2.0 * jnp.mod(k, 2.0)
    return (sign * folded - 2.0 * k).astype(cosine.dtype)


def shifted_cosine(cosine: jax.Array, multiple, shift, beyond_pi: str) -> jax.Array:
    """Return cos(m1 θ + m2), continued monotonically beyond π.

    Beyond π the cosine would rise again and reward a larger angle. ArcFace (Deng et al.
    2019), eq. 4. A negative shift, which is an array, leads below 0. There "linear" is
    a straight line, "clamp" is 1, and "none" falls.

    Args:
      cosine: cos θ `[...]`.
      multiple: m1, a number or a traced scalar.
      shift: m2, a number or an array.
      beyond_pi: "linear" for cos θ - max(m2 sin m2, 1 + cos θ*), where θ* is the angle
        at which π is reached; this is cos θ - m2 sin m2 for m1 = 1 and m2 ≤ 2.33.
        "clamp" for -1, without gradient. "none" to let it rise.

    >>> cosine = jnp.array([1.0, -1.0])
    >>> [round(float(c), 3) for c in shifted_cosine(cosine, 1, 0.5, "linear")]
    [0.878, -1.24]
    """
    cosine_m, sine_m = multiple_angle(cosine, multiple)
    shifted = cosine_m * jnp.cos(shift) - sine_m * jnp.sin(shift)
    if beyond_pi == "none":
        return shifted
    boundary = jnp.cos(jnp.minimum((jnp.pi - shift) / multiple, jnp.pi))
    if beyond_pi == "clamp":
        beyond = -1.0
    else:
        beyond = cosine - jnp.maximum(shift * jnp.sin(shift), 1.0 + boundary)
    shifted = jnp.where(cosine < boundary, beyond, shifted)
    if is_plain_number(shift):
        return shifted
    start = jnp.cos(jnp.maximum(-shift / multiple, 0.0))
    before = jnp.ones_like(cosine) if beyond_pi == "clamp" else 1.0 + cosine - start
    return jnp.where(cosine > start, before, shifted)
