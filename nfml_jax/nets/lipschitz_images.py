"""Convolutional networks that are contractions, for residual flows of images."""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp

from nfml_jax.nets.convolution import conv
from nfml_jax.nets.lipschitz import DIRECTIONS, LipschitzMLP, iterate_power
from nfml_jax.ops.broadcasting import broadcasting

Array = jax.Array


class LipschitzConv(LipschitzMLP):
    """Convolutions whose whole map of images has a Lipschitz constant below one.

    As `LipschitzMLP`, with convolutions of 3 × 3 pixels at first and at last, and of
    single pixels between (Chen et al. 2019, section 5). The norm of each is that of its
    map of images of the given size, whose directions are images. The context, a vector
    or a feature map, is added to the first layer's bias.

    Attributes:
      hidden: The numbers of channels of the hidden layers.
      lipschitz: The bound of the Lipschitz constant, below 1.
      tolerance: The relative change of the norm that ends the power iteration.
    """

    @property
    def event_ndim(self):
        return 3

    @broadcasting
    @nn.compact
    def __call__(
        self, features: int, context: Array | None, dtype, places: tuple[int, int]
    ) -> list[dict]:
        """Return the layers of a map of images `[*places, features]`.

        The context has the axes `[*batch, H or 1, W or 1, C]`. Biases are maps.
        """
        widths = *self.hidden, features
        share = self.lipschitz ** (1 / len(widths))
        layers, inputs = [], features
        for i, width in enumerate(widths):
            last = i == len(widths) - 1
            side = 3 if i == 0 or last else 1
            init = nn.initializers.zeros if last else nn.initializers.lecun_normal()
            shape = side, side, inputs, width
            kernel = self.param(f"kernel_{i}", init, shape).astype(dtype)
            bias = self.param(f"bias_{i}", nn.initializers.zeros, (width,))
            kernel /= jnp.maximum(1, self._norm_at(i, kernel, places) / share)
            bias = jnp.broadcast_to(bias.astype(dtype), (*places, width))
            layer = {"kernel": kernel, "bias": bias}
            if not last:
                start = nn.initializers.constant(0.5)
                layer["slope"] = self.param(f"slope_{i}", start, ()).astype(dtype)
            layers.append(layer)
            inputs = width
        if context is not None:
            add = nn.Dense(widths[0], use_bias=False, name="context")(context)
            layers[0]["bias"] = layers[0]["bias"] + add.astype(dtype)
        return layers

    def _norm_at(self, i, kernel, places):
        """Return the norm of a convolution; its gradient takes directions as fixed."""
        shape = *places, kernel.shape[2]

        def draw():
            return jax.random.normal(self.make_rng("params"), shape)

        direction = self.variable(DIRECTIONS, f"direction_{i}", draw)
        push = partial(_convolved, jax.lax.stop_gradient(kernel))

        def pull(image):
            return jax.vjp(push, jnp.zeros(shape, kernel.dtype))[1](image)[0]

        start = direction.value.astype(kernel.dtype)
        nothing = jnp.zeros((*places, kernel.shape[3]), kernel.dtype)
        left, right = iterate_power(push, pull, (start, nothing), self.tolerance)
        left, right = jax.lax.stop_gradient((left, right))
        if self.is_mutable_collection(DIRECTIONS):
            direction.value = left.astype(direction.value.dtype)
        return jnp.vdot(_convolved(kernel, left), right)


def _convolved(kernel, image):
    return conv(image[None], kernel)[0]
