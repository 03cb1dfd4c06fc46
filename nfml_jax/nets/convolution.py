"""Convolution of images `[B, H, W, C]`, in the fastest form for each platform.

Kernels are `[kh, kw, in, out]`, as in Flax.
"""

from functools import partial

import jax
import jax.numpy as jnp
from jax import lax

Array = jax.Array


def conv(x: Array, kernel: Array, stride: int = 1) -> Array:
    """Return the correlation `[B, ceil(H / stride), ceil(W / stride), O]` of images.

    Args:
      x: The images `[B, H, W, I]`, padded with zeros as "SAME".
      kernel: The kernel `[kh, kw, I, O]`.
      stride: The stride along both axes.

    The algorithm depends on the platform: `lax`'s convolution on accelerators, and one
    large dot on the CPU, where the gradients of XLA's convolution are slow, and ten
    times slower inside `lax.fori_loop` (benchmarks/README.md). Values and derivatives
    are the same. The dot is over patches, or, for fewer outputs than inputs, over
    single pixels.

    The size B may be symbolic, as in an export for any number of images. Such a program
    contains `lax`'s convolution only: it needs no gradients, and an unknown number of
    images cannot be divided into pieces.
    """
    if not isinstance(x.shape[0], int):
        return _conv_as_conv(x, kernel, stride)
    kh, kw, inputs, outputs = kernel.shape
    narrowing = outputs < inputs and stride == 1 and kh * kw > 1
    return lax.platform_dependent(
        x,
        kernel,
        cpu=conv_as_shifts if narrowing else partial(_conv_as_dot, stride=stride),
        default=partial(_conv_as_conv, stride=stride),
    )


def _conv_as_conv(x: Array, kernel: Array, stride: int) -> Array:
    return lax.conv_general_dilated(
        x, kernel, (stride, stride), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


# A layer with more bytes of patches than LARGE computes PIECE bytes at a time, which
# fit into a core's caches. Both are from measurements (benchmarks/README.md).
LARGE, PIECE = 2**22, 2**21


def _conv_as_dot(x: Array, kernel: Array, stride: int) -> Array:
    """Return each output pixel's patch `[B·H·W, kh·kw·I]` times the kernel matrix.

    Its transposes are dots of the same size and sums of shifted images. Patches take
    kh·kw times the memory of `x`, and are stored for the gradient. So a large layer is
    computed in pieces, a few images at a time, and its patches again for the gradient.
    It then stores `x` only, and is faster as pieces fit into caches.
    """

    def dot(x):
        patches = _windows(_windows(x, 2, kernel.shape[1], stride), 1, kh, stride)
        b, h, w, size = patches.shape
        y = patches.reshape(-1, size) @ kernel.reshape(size, features)
        return y.reshape(b, h, w, features)

    kh, kw, _, features = kernel.shape
    pieces = _pieces(x.size * kh * kw // stride**2 * x.dtype.itemsize, len(x))
    if pieces == 1:
        return dot(x)
    x = x.reshape(pieces, -1, *x.shape[1:])
    y = lax.map(jax.checkpoint(dot, prevent_cse=False), x)
    return y.reshape(-1, *y.shape[2:])


def _pieces(size: int, images: int) -> int:
    """Return the number of equal parts for `images` with `size` bytes of patches."""
    pieces = min(images, -(-size // PIECE)) if size > LARGE else 1
    while images % pieces:
        pieces += 1
    return pieces


def _windows(x: Array, axis: int, size: int, stride: int) -> Array:
    """Return each pixel's `size` neighbors along `axis`, concatenated as channels."""
    length = x.shape[axis]
    (pad,) = lax.padtype_to_pads((length,), (size,), (stride,), "SAME")
    x = jnp.pad(x, [pad if d == axis else (0, 0) for d in range(x.ndim)])
    span = (length - 1) // stride * stride + 1
    shifted = [lax.slice_in_dim(x, i, i + span, stride, axis=axis) for i in range(size)]
    return jnp.concatenate(shifted, axis=-1)


def conv_as_shifts(x: Array, kernel: Array) -> Array:
    """Return each pixel times every entry of the kernel, shifted to its place, summed.

    One dot gives kh·kw maps of the outputs `[B, H, W, kw·kh·O]`. A convolution of fewer
    outputs than inputs thus reads its inputs once instead of kh·kw times, and moves
    less. Columns are shifted and summed first, then rows. A large layer is computed in
    pieces. Only `x` is stored for the gradient.
    """

    def dot(x):
        maps = x.reshape(-1, inputs) @ by_column
        maps = maps.reshape(*x.shape[:-1], -1)
        return _shifted_sum(_shifted_sum(maps, 2, kw), 1, kh)

    kh, kw, inputs, _ = kernel.shape
    by_column = kernel.transpose(2, 1, 0, 3).reshape(inputs, -1)
    size = x.size // inputs * by_column.shape[1] * x.dtype.itemsize
    pieces = _pieces(size, len(x))
    if pieces == 1:
        return dot(x)
    x = x.reshape(pieces, -1, *x.shape[1:])
    y = lax.map(dot, x)
    return y.reshape(-1, *y.shape[2:])


def _shifted_sum(maps: Array, axis: int, size: int) -> Array:
    """Return the sum of `size` groups of channels, the i-th from i places further on.

    Places are counted along `axis` from the first neighbor of a window as "SAME" has
    it; beyond the border there are zeros.
    """
    total = jnp.zeros((), maps.dtype)
    for i, group in enumerate(jnp.split(maps, size, axis=-1)):
        offset = i - (size - 1) // 2
        pads = [(0, 0, 0)] * maps.ndim
        pads[axis] = (-offset, offset, 0)
        total = total + lax.pad(group, jnp.zeros((), maps.dtype), pads)
    return total
