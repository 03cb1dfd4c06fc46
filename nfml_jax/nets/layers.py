"""Layers shared by networks of images: convolution, max pooling, PReLU, batch norm.

Images are `[B, H, W, C]` and convolution kernels `[kh, kw, in, out]`, as in Flax,
so parameters move freely between these layers and `flax.linen`'s own.
"""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from nfml_jax.nets.convolution import conv
from nfml_jax.ops.broadcasting import broadcasting
from nfml_jax.ops.names import look_up

Array = jax.Array

he_normal = nn.initializers.he_normal()


def max_pool(x: Array) -> Array:
    """Return the maximum of 2×2 blocks, `[B, H, W, C]` -> `[B, H//2, W//2, C]`.

    An odd edge is dropped. The maximum is first over rows, then over columns. So its
    gradient is cheap on all devices, and equal entries share it.
    """
    b, h, w, c = x.shape
    x = x[:, : h // 2 * 2, : w // 2 * 2].reshape(b, h // 2, 2, w // 2, 2, c)
    x = jnp.maximum(x[:, :, 0], x[:, :, 1])
    return jnp.maximum(x[:, :, :, 0], x[:, :, :, 1])


STANDARDIZATIONS = ("none", "picture", "local")
"""Ways in which `standardize` normalizes each picture by itself."""


def standardize(images: Array, how: str) -> Array:
    """Return images `[B, H, W, C]`, each normalized on its own.

    Args:
      images: The images `[B, H, W, C]`.
      how: A name of `STANDARDIZATIONS`. "picture" gives each picture mean 0 and
        standard deviation 1. "local" uses the mean and deviation around each pixel, in
        a window of about a quarter of the picture, which removes most of the direction
        of light. "none" returns the images unchanged.

    Noise with a deviation below 1/40 of the range is not amplified.

    Raises:
      UserError: `how` is another name.
    """
    look_up(dict.fromkeys(STANDARDIZATIONS), how, "way to standardize pictures")
    if how == "none":
        return images
    x = images.astype(jnp.float32)
    if how == "local":
        x = x - _around(x.mean(axis=-1, keepdims=True))
        deviation = jnp.sqrt(_around((x**2).mean(axis=-1, keepdims=True)) + FAINT**2)
        return x / deviation
    x = x - x.mean(axis=(1, 2, 3), keepdims=True)
    return x / jnp.sqrt((x**2).mean(axis=(1, 2, 3), keepdims=True) + FAINT**2)


FAINT = 0.05

COARSE = 784
"""The largest number of pixels of a picture in `coarse_rows`."""


def coarse_rows(images: Array) -> Array:
    """Return images `[B, H, W, C]` as unit rows `[B, P]`, averaged over channels.

    Images of more than `COARSE` pixels are first averaged over equal blocks. The border
    is repeated if the blocks don't divide an image.
    """
    x = images.astype(jnp.float32).mean(axis=-1)
    _, height, width = x.shape
    side = 1
    while -(-height // side) * -(-width // side) > COARSE:
        side += 1
    for axis, size in ((1, height), (2, width)):
        x = _repeat_border(x, axis, 0, -size % side)
    rows, columns = x.shape[1] // side, x.shape[2] // side
    x = x.reshape(-1, rows, side, columns, side).mean(axis=(2, 4))
    x = x.reshape(-1, rows * columns)
    return x * lax.rsqrt((x**2).sum(axis=-1, keepdims=True) + TINY)


TINY = 1e-12


def _around(x: Array) -> Array:
    """Return the mean of `x` `[B, H, W, 1]` in a window around each pixel."""
    for axis in (1, 2):
        reach = max(1, x.shape[axis] // 8)
        size = [2 * reach + 1 if a == axis else 1 for a in range(4)]
        wide = _repeat_border(x, axis, reach, reach)
        total = lax.reduce_window(wide, 0.0, lax.add, size, (1,) * 4, "VALID")
        x = total / (2 * reach + 1)
    return x


def _repeat_border(x: Array, axis: int, before: int, after: int) -> Array:
    """Return `x` with its first and last slice repeated at the ends of an axis.

    `jnp.pad` does the same, by concatenations with empty arrays along all other axes,
    which jax2onnx 0.17 translates to arrays of one row.
    """
    size = x.shape[axis]
    first, last = (
        lax.slice_in_dim(x, place, place + 1, axis=axis) for place in (0, size - 1)
    )
    return jnp.concatenate([first] * before + [x] + [last] * after, axis=axis)


class Conv(nn.Module):
    """The layer of `conv`, with the parameters of `nn.Conv`."""

    features: int
    kernel_size: int = 3
    stride: int = 1
    use_bias: bool = True
    dtype: Any = jnp.float32
    kernel_init: Callable = he_normal

    @broadcasting
    @nn.compact
    def __call__(self, x: Array) -> Array:
        shape = (self.kernel_size, self.kernel_size, x.shape[-1], self.features)
        kernel = self.param("kernel", self.kernel_init, shape, jnp.float32)
        y = conv(x.astype(self.dtype), kernel.astype(self.dtype), self.stride)
        if self.use_bias:
            bias = self.param("bias", nn.initializers.zeros, shape[-1:], jnp.float32)
            y = y + bias.astype(self.dtype)
        return y


class PReLU(nn.Module):
    """max(x, 0) + a·min(x, 0) with one learned slope a per channel (He et al. 2015)."""

    @broadcasting
    @nn.compact
    def __call__(self, x: Array) -> Array:
        slope = self.param(
            "slope", nn.initializers.constant(0.25), x.shape[-1:], jnp.float32
        )
        return jnp.where(x >= 0, x, slope.astype(x.dtype) * x)


class BatchNorm(nn.Module):
    """Batch norm in float32, with statistics averaged over the axis `axis_name`."""

    axis_name: str | None = None
    use_scale: bool = True
    scale_init: Callable = nn.initializers.ones

    @broadcasting
    @nn.compact
    def __call__(self, x: Array, train: bool) -> Array:
        norm = nn.BatchNorm(
            use_running_average=not train,
            momentum=0.9,
            dtype=jnp.float32,
            axis_name=self.axis_name,
            use_scale=self.use_scale,
            scale_init=self.scale_init,
            name="norm",
        )
        return norm(x.astype(jnp.float32)).astype(x.dtype)


class Embedding(nn.Module):
    """The last linear layer, `[B, ...]` flattened -> float32 embeddings `[B, size]`.

    `norm` adds a batch norm without a learned scale, as in insightface's encoders.
    """

    size: int
    norm: bool = False
    dtype: Any = jnp.float32
    axis_name: str | None = None

    @broadcasting
    @nn.compact
    def __call__(self, x: Array, train: bool) -> Array:
        x = x.reshape(x.shape[0], -1)
        x = nn.Dense(self.size, dtype=self.dtype, name="dense")(x).astype(jnp.float32)
        if self.norm:
            x = BatchNorm(self.axis_name, use_scale=False)(x, train)
        return x
