"""Networks of images whose parameters of a number depend on earlier numbers only.

Pixels are in order row by row. `MaskedConvs` is a stack of masked convolutions
(PixelCNN, van den Oord et al. 2016) for maps whose channels are independent given the
pixels before. `PixelCNN` has gated residual blocks (Salimans et al. 2017, PixelCNN++),
and its channels are in order, too.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from nfml_jax.errors import UserError
from nfml_jax.nets.conditioners import Conditioner
from nfml_jax.nets.masked_network import over_inputs
from nfml_jax.ops import control_flow
from nfml_jax.ops.checks import (
    DEEPEST,
    WIDEST,
    check_integer,
    check_odd,
    check_sizes,
    refuse,
)
from nfml_jax.ops.events import at_places

Array = jax.Array


class Layer(NamedTuple):
    """A causal convolution: its kernel, and what it adds to every pixel.

    `kernel` is `[n, out]`: a row for each channel of each pixel that it sees, which are
    those of the window before the pixel, row by row, and the pixel itself. `bias` is
    `[out]`, or `[..., H, W, out]` if it depends on a context.
    """

    kernel: Array
    bias: Array


@dataclass(frozen=True, eq=False)
class CausalNetwork:
    """The architecture of a network of causal convolutions.

    Attributes:
      body: A function `body(layer, x)` that calls `layer(l, h)` for its l-th layer, and
        is otherwise the same function of every pixel alone.
      windows: For each layer the rows of its window above a pixel, and the columns to
        either side of it; (0, 0) for the pixel alone.
      count: The number of parameters of a number of the image.
    """

    body: Callable[[Callable[[int, Array], Array], Array], Array]
    windows: Sequence[tuple[int, int]]
    count: int

    def __call__(self, layers: Sequence[Layer], x: Array) -> Array:
        """Return the parameters of all numbers, `[..., H, W, C, count]`."""
        raw, _ = self._pass(layers, x)
        return raw.reshape(*x.shape, self.count)

    def draw(
        self,
        layers: Sequence[Layer],
        y: Array,
        scalar: Callable[[Array, Array], Array],
    ) -> Array:
        """Return x `[..., H, W, C]` with x_i = scalar(parameters_i, y_i).

        Args:
          layers: The layers' parameters.
          y: The numbers `[..., H, W, C]`.
          scalar: A function of parameters `[..., count]` and y `[...]`.

        Numbers are found one after another. What layers have computed at earlier pixels
        is kept, so all steps together cost as much arithmetic as C + 1 passes.
        """
        height, width, channels = y.shape[-3:]
        known = y.reshape(-1, height, width, channels)
        places = [layer._replace(bias=_of_batch(layer.bias, y)) for layer in layers]

        def step(i, state):
            seen, done = state
            place = i // width, i % width
            own = _cut(known, place, (1, 1))

            def next_channel(c, x):
                raw, _ = self._at_pixel(places, seen, place, x)
                raw, value = (
                    lax.dynamic_index_in_dim(numbers, c, 3, keepdims=False)
                    for numbers in (raw, own)
                )
                found = scalar(raw, value)[..., None]
                return jnp.where(jnp.arange(channels) == c, found, x)

            x = control_flow.fori_loop(0, channels, next_channel, jnp.zeros_like(own))
            _, inputs = self._at_pixel(places, seen, place, x)
            seen = [
                _put(before, now, (place[0] + up, place[1] + side))
                for before, now, (up, side) in zip(
                    seen, inputs, self.windows, strict=True
                )
            ]
            return seen, _put(done, x, place)

        _, inputs = jax.eval_shape(self._pass, layers, y)
        seen = [
            jnp.pad(jnp.zeros(h.shape, h.dtype), _border(up, side))
            for h, (up, side) in zip(inputs, self.windows, strict=True)
        ]
        start = seen, jnp.zeros_like(known)
        _, done = control_flow.fori_loop(0, height * width, step, start)
        return done.reshape(y.shape)

    def _pass(self, layers, x):
        """Return raw parameters `[B, H, W, C count]`, and the inputs of all layers."""
        inputs = []

        def layer(l, h):
            inputs.append(h)
            bias = _of_batch(layers[l].bias, x)
            return _dot(_patches(h, *self.windows[l]), layers[l].kernel) + bias

        return self.body(layer, x.reshape(-1, *x.shape[-3:])), inputs

    def _at_pixel(self, layers, seen, place, x):
        """Return one pixel's parameters `[B, 1, 1, C, count]`, and all layers' inputs.

        Args:
          layers: The layers, with biases `[out]` or `[B, H, W, out]`.
          seen: The inputs of all layers at the pixels before, with a border of zeros.
          place: The row and the column.
          x: The pixel `[B, 1, 1, C]`.
        """
        inputs = []

        def layer(l, h):
            inputs.append(h)
            (up, side), (kernel, bias) = self.windows[l], layers[l]
            before = (up * (2 * side + 1) + side) * h.shape[-1]
            window = _cut(seen[l], place, (up + 1, 2 * side + 1))
            window = window.reshape(len(h), 1, 1, -1)[..., :before]
            bias = bias if bias.ndim == 1 else _cut(bias, place, (1, 1))
            return _dot(jnp.concatenate([window, h], axis=-1), kernel) + bias

        raw = self.body(layer, x).reshape(*x.shape, self.count)
        return raw, inputs


class CausalConditioner(Conditioner):
    """The base class of conditioners of `PixelAutoregressive`.

    A subclass gives `network(x [..., H, W, C], context or None, count)`, which returns
    a `CausalNetwork` and its layers for this context. A context is a vector, or a
    feature map of which a pixel sees its own place. There is no dropout: a draw needs
    the same network at each of its steps.
    """

    def check_options(self):
        super().check_options()
        if self.dropout:
            refuse(self, "dropout", self.dropout, "0, as draws repeat the network")

    def network(
        self, x: Array, context: Array | None, count: int
    ) -> tuple[CausalNetwork, list[Layer]]:
        raise NotImplementedError

    def given(self, bias: Array, context: Array | None, x: Array) -> Array:
        """Return the bias plus a linear function of the context, if there is one."""
        if context is None:
            return bias
        dense = nn.Dense(len(bias), use_bias=False, dtype=bias.dtype, name="context")
        return bias + dense(at_places(context, x, 3))


class PixelCNN(CausalConditioner):
    """Gated residual blocks of causal convolutions, with channels in order.

    A block adds value · sigmoid(gate) to its input: both are linear in the activations
    of each pixel after a causal convolution, which sees three pixels above, one to the
    left, and the pixel itself. The first layer sees windows of two rows above and two
    columns to either side. Hidden channels are in as many groups as the image has
    channels: group c depends on the channels before c at the pixel itself.

    Attributes:
      hidden: The number of channels of all hidden layers, at least as many as the
        image's.
      blocks: The number of residual blocks.

    >>> net, x = PixelCNN(hidden=8, blocks=1), jnp.ones((1, 4, 4, 2))
    >>> variables = net.init(jax.random.key(0), x, None, 3, method="network")
    >>> network, layers = net.apply(variables, x, None, 3, method="network")
    >>> network(layers, x).shape
    (1, 4, 4, 2, 3)
    """

    hidden: int = 128
    blocks: int = 4
    activation: Callable[[Array], Array] = nn.elu

    def check_options(self):
        super().check_options()
        check_integer(self, 1, WIDEST, hidden=self.hidden)
        check_integer(self, 0, DEEPEST, blocks=self.blocks)

    @nn.compact
    def network(self, x, context, count):
        channels, dtype = x.shape[-1], self.dtype or x.dtype
        if self.hidden < channels:
            raise UserError(
                f"PixelCNN got hidden={self.hidden} for images of {channels} channels; "
                "it needs a hidden channel for each."
            )
        given, units = np.arange(channels), np.arange(self.hidden)
        units = units * channels // self.hidden
        inside, last = units[:, None] <= units, units[:, None] <= given
        masks = [((2, 2), given[:, None] < units)]
        masks += [((1, 1), inside), ((0, 0), np.tile(inside, 2))] * self.blocks
        masks += [((0, 0), np.repeat(last, count, axis=1))]
        layers = [
            self.layer(l, window, own, dtype, zero=l == len(masks) - 1)
            for l, (window, own) in enumerate(masks)
        ]
        first = layers[0]
        layers[0] = first._replace(bias=self.given(first.bias, context, x))
        body = partial(_gated_blocks, self.activation, self.blocks)
        windows = tuple(window for window, _ in masks)
        return CausalNetwork(body, windows, count), layers

    def layer(
        self, l: int, window: tuple[int, int], own: np.ndarray, dtype, zero: bool
    ) -> Layer:
        """Return layer l, which sees its own pixel by the mask `own` `[in, out]`.

        The variance of its kernel is one over the count of a unit's inputs, or zero.
        """
        up, side = window
        before = np.ones(((up * (2 * side + 1) + side) * len(own), own.shape[1]), bool)
        mask = np.concatenate([before, own])
        init = nn.initializers.zeros if zero else over_inputs(mask)
        kernel = self.param(f"kernel_{l}", init, mask.shape)
        bias = self.param(f"bias_{l}", nn.initializers.zeros, mask.shape[1:])
        return Layer(jnp.where(mask, kernel, 0).astype(dtype), bias.astype(dtype))


class MaskedConvs(CausalConditioner):
    """Masked convolutions with the activation between them.

    The parameters of all channels of a pixel depend on the pixels before, within reach.

    Attributes:
      hidden: The numbers of channels of the hidden layers.
      kernel_size: The odd number of pixels along the side of all kernels.
    """

    hidden: tuple[int, ...] = (64, 64)
    kernel_size: int = 3

    def check_options(self):
        super().check_options()
        check_sizes(self, hidden=self.hidden)
        check_odd(self, kernel_size=self.kernel_size)

    @nn.compact
    def network(self, x, context, count):
        dtype, side = self.dtype or x.dtype, self.kernel_size
        sizes = x.shape[-1], *self.hidden, x.shape[-1] * count
        layers = []
        for l, (inputs, width) in enumerate(pairwise(sizes)):
            last = l == len(self.hidden)
            init = nn.initializers.zeros if last else nn.initializers.he_normal()
            kernel = self.param(f"kernel_{l}", init, (side, side, inputs, width))
            bias = self.param(f"bias_{l}", nn.initializers.zeros, (width,))
            # The first layer alone leaves out a pixel itself.
            before = side**2 // 2
            seen = np.arange(before + 1) < before + (l > 0)
            kernel = kernel.reshape(side**2, inputs, width)[: before + 1]
            kernel = jnp.where(seen[:, None, None], kernel, 0).reshape(-1, width)
            bias = self.given(bias.astype(dtype), None if l else context, x)
            layers.append(Layer(kernel.astype(dtype), bias))
        windows = ((side // 2, side // 2),) * len(layers)
        body = partial(_feed_forward, self.activation, len(layers))
        return CausalNetwork(body, windows, count), layers


def _gated_blocks(activation, blocks, layer, x):
    h = layer(0, x)
    for block in range(blocks):
        y = layer(2 * block + 1, activation(h))
        value, gate = jnp.split(layer(2 * block + 2, activation(y)), 2, axis=-1)
        h = h + value * nn.sigmoid(gate)
    return layer(2 * blocks + 1, activation(h))


def _feed_forward(activation, count, layer, x):
    for l in range(count):
        x = layer(l, activation(x) if l else x)
    return x


def _patches(x: Array, up: int, side: int) -> Array:
    """Return what each pixel sees, `[B, H, W, n]`: the window before it, and itself."""
    height, width = x.shape[1:3]
    padded = jnp.pad(x, _border(up, side))
    columns = range(2 * side + 1)
    seen = [
        padded[:, row : row + height, column : column + width]
        for row in range(up + 1)
        for column in (columns if row < up else columns[:side])
    ]
    return jnp.concatenate([*seen, x], axis=-1) if seen else x


def _border(up: int, side: int):
    """Return the widths of the border within which all windows lie, for `jnp.pad`."""
    return (0, 0), (up, 0), (side, side), (0, 0)


def _cut(x: Array, place: tuple, size: tuple[int, int]) -> Array:
    """Return the part of images that begins at a place, `[B, *size, C]`."""
    return lax.dynamic_slice(x, (0, *place, 0), (len(x), *size, x.shape[-1]))


def _put(x: Array, part: Array, place: tuple) -> Array:
    """Return images with a part of them, which begins at a place, replaced."""
    return lax.dynamic_update_slice(x, part, (0, *place, 0))


def _dot(x: Array, kernel: Array) -> Array:
    # Accelerators would compute in fewer bits, and the inverse would not fit.
    y = jnp.dot(x.reshape(-1, x.shape[-1]), kernel, precision="highest")
    return y.reshape(*x.shape[:-1], -1)


def _of_batch(bias: Array, x: Array) -> Array:
    """Return a bias `[..., H, W, out]` as `[B, H, W, out]`, or one `[out]` as it is."""
    if bias.ndim == 1:
        return bias
    shape = x.shape[:-1]
    return jnp.broadcast_to(bias, (*shape, bias.shape[-1])).reshape(
        -1, *shape[-2:], bias.shape[-1]
    )
