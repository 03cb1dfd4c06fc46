"""Squeezes: maps that move blocks of pixels into channels, so that images are smaller.

RealNVP (Dinh et al. 2017, section 3.6) and Glow (Kingma & Dhariwal 2018) squeeze before
each scale. `Haar` does so by averages and differences, which are a wavelet transform.
"""

from itertools import product
from typing import ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp

from nfml_jax.bijectors.bijector import Bijector, zero_log_det
from nfml_jax.errors import UserError
from nfml_jax.ops.checks import check_choice, check_integer

Array = jax.Array

ORDERS = ("space_to_depth", "glow", "diagonal")


class Blocks(Bijector):
    """The base class of maps of blocks of f × f pixels to f² C channels each.

    They take images `[..., H, W, C]` to `[..., H / f, W / f, f² C]` and preserve
    volume. A feature map that conditions a flow is mapped like the image.
    """

    preserves_volume: ClassVar[bool] = True

    @property
    def event_ndim(self):
        return 3

    @property
    def size(self) -> int:
        """The number f of pixels along the side of a block."""
        raise NotImplementedError

    def blocks_to_channels(self, blocks: Array) -> Array:
        """Return the f² C channels of blocks `[..., f², C]`, pixels row by row."""
        raise NotImplementedError

    def channels_to_blocks(self, channels: Array) -> Array:
        """Return the blocks `[..., f², C]` of f² C channels."""
        raise NotImplementedError

    def forward_and_log_det(self, x, context=None):
        return self._gather(x), zero_log_det(x, 3)

    def inverse_and_log_det(self, y, context=None):
        return self._spread(y), zero_log_det(y, 3)

    @nn.nowrap
    def forward_shape(self, shape):
        height, width, channels = shape
        f = self.size
        if height % f or width % f:
            raise UserError(
                f"{type(self).__name__} got images of {height}×{width} pixels; expected"
                f" a height and a width that {f} divides: pad or crop them before."
            )
        return height // f, width // f, channels * f**2

    @nn.nowrap
    def inverse_shape(self, shape):
        height, width, channels = shape
        f = self.size
        if channels % f**2:
            raise UserError(
                f"The inverse of {type(self).__name__} got images of {channels} "
                f"channels; expected a number of channels that {f**2} divides."
            )
        return height * f, width * f, channels // f**2

    @nn.nowrap
    def forward_context(self, context):
        return context if context.shape[-3:-1] == (1, 1) else self._gather(context)

    @nn.nowrap
    def inverse_context(self, context):
        return context if context.shape[-3:-1] == (1, 1) else self._spread(context)

    @nn.nowrap
    def _gather(self, x):
        f = self.size
        height, width, channels = self.forward_shape(x.shape[-3:])
        x = x.reshape(*x.shape[:-3], height, f, width, f, x.shape[-1])
        x = jnp.swapaxes(x, -4, -3)
        x = x.reshape(*x.shape[:-3], f**2, x.shape[-1])
        return self.blocks_to_channels(x).reshape(*x.shape[:-2], channels)

    @nn.nowrap
    def _spread(self, y):
        f = self.size
        height, width, channels = self.inverse_shape(y.shape[-3:])
        y = self.channels_to_blocks(y)
        y = y.reshape(*y.shape[:-2], f, f, channels)
        y = jnp.swapaxes(y, -4, -3)
        return y.reshape(*y.shape[:-5], height, width, channels)


class Squeeze(Blocks):
    """Blocks of pixels as channels: `[..., H, W, C] -> [..., H / f, W / f, f² C]`.

    Attributes:
      factor: The side f of a block.
      order: The channel that the pixel (dy, dx) of a block gets for channel c of C:

        - "space_to_depth": (f dy + dx) C + c, as TensorFlow's `space_to_depth`.
        - "glow": f² c + f dy + dx, as in Glow's code.
        - "diagonal": i C + c, where i numbers the pixels with dy + dx even first, row
        by row. For f = 2 the first half of the channels is one color of a
        checkerboard, so that a coupling of both halves is RealNVP's checkerboard
        coupling.

    >>> x = jnp.arange(4.0).reshape(1, 2, 2, 1)
    >>> Squeeze().apply({}, x, method="forward").ravel().tolist()
    [0.0, 1.0, 2.0, 3.0]
    >>> Squeeze(order="diagonal").apply({}, x, method="forward").ravel().tolist()
    [0.0, 3.0, 1.0, 2.0]
    """

    factor: int = 2
    order: str = "space_to_depth"

    def check_options(self):
        check_integer(self, 1, factor=self.factor)
        check_choice(self, ORDERS, order=self.order)

    @property
    def size(self):
        return self.factor

    @nn.nowrap
    def blocks_to_channels(self, blocks):
        if self.order == "glow":
            blocks = jnp.swapaxes(blocks, -1, -2)
        elif self.order == "diagonal":
            blocks = _reordered(blocks, _diagonals(self.factor))
        return blocks

    @nn.nowrap
    def channels_to_blocks(self, channels):
        f2 = self.factor**2
        size = channels.shape[-1] // f2
        if self.order == "glow":
            blocks = channels.reshape(*channels.shape[:-1], size, f2)
            return jnp.swapaxes(blocks, -1, -2)
        blocks = channels.reshape(*channels.shape[:-1], f2, size)
        if self.order == "diagonal":
            order = _diagonals(self.factor)
            places = sorted(range(f2), key=lambda i: order[i])
            blocks = _reordered(blocks, places)
        return blocks


class Haar(Blocks):
    """The orthonormal Haar wavelet transform of blocks of 2 × 2 pixels.

    `[..., H, W, C] -> [..., H / 2, W / 2, 4 C]`: the first C channels are half the sum
    of a block, which is an image at half the resolution. The next ones are half the
    differences of columns, of rows, and of diagonals.

    >>> x = jnp.array([1.0, 2.0, 3.0, 5.0]).reshape(1, 2, 2, 1)
    >>> y, log_det = Haar().apply({}, x)
    >>> y.ravel().tolist(), log_det.tolist()
    ([5.5, -1.5, -2.5, 0.5], [0.0])
    """

    @property
    def size(self):
        return 2

    @nn.nowrap
    def blocks_to_channels(self, blocks):
        a, b, c, d = (blocks[..., i, :] for i in range(4))
        left, right, across, slope = a + c, b + d, a - c, b - d
        parts = left + right, left - right, across + slope, across - slope
        return jnp.stack(parts, axis=-2) / 2

    @nn.nowrap
    def channels_to_blocks(self, channels):
        shape = *channels.shape[:-1], 4, channels.shape[-1] // 4
        # The transform of a block is its own inverse.
        return self.blocks_to_channels(channels.reshape(shape))


def _diagonals(factor):
    """Return a block's pixels, numbered row by row, those with dy + dx even first."""
    pixels = product(range(factor), repeat=2)
    ordered = sorted(pixels, key=lambda pixel: (sum(pixel) % 2, pixel))
    return [factor * dy + dx for dy, dx in ordered]


def _reordered(blocks, order):
    return jnp.stack([blocks[..., i, :] for i in order], axis=-2)
