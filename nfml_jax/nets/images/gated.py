"""Gated residual blocks with ConcatELU and layer norm.

From tutorial 11 of the UvA deep learning course (P. Lippe), after Flow++ (Ho et al.
2019). With `hidden` 32 on 28×28×1 images and one channel of scale and one of shift it
has the tutorial's 69,538 parameters.
"""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp

from nfml_jax.nets.images.conditioner import ImageConditioner
from nfml_jax.ops.checks import DEEPEST, WIDEST, check_integer

Array = jax.Array

lecun_normal = nn.initializers.lecun_normal()


class GatedResNet(ImageConditioner):
    """A convolution, `blocks` gated residual blocks, and a last convolution.

    A block of x is LayerNorm(x + value · sigmoid(gate)); value and gate are a 1×1 after
    a 3×3 convolution. Each convolution but the first is of the activations of both x
    and -x, side by side. The last convolution is of `last_size` × `last_size` pixels; 1
    is cheaper for transforms of many parameters.
    """

    hidden: int = 32
    blocks: int = 3
    last_size: int = 3
    activation: Callable[[Array], Array] = nn.elu

    def check_options(self):
        super().check_options()
        check_integer(self, 1, WIDEST, hidden=self.hidden)
        check_integer(self, 1, last_size=self.last_size)
        check_integer(self, 0, DEEPEST, blocks=self.blocks)

    def network(self, x, vector, features):
        x = self.add(self.conv(x, self.hidden, init=lecun_normal), vector)
        for number in range(self.blocks):
            x = self.block(x, vector, number)
        return self.out(self.both_signs(x), features, self.last_size)

    def block(self, x: Array, vector: Array | None, number: int) -> Array:
        """Return the residual block of this number, counted from 0."""
        y = self.conv(self.both_signs(x), self.hidden, init=lecun_normal)
        y = self.drop(self.both_signs(self.add(y, vector)))
        return self.norm(x + self.gated(y))

    def gated(self, y: Array) -> Array:
        """Return half of a 1×1 convolution's channels, gated by the other half."""
        y = self.conv(y, 2 * self.hidden, 1, init=lecun_normal)
        value, gate = jnp.split(y, 2, axis=-1)
        return value * nn.sigmoid(gate)

    def both_signs(self, x: Array) -> Array:
        """Return the activations of x and of -x: with ELU, ConcatELU."""
        return jnp.concatenate([self.activation(x), self.activation(-x)], axis=-1)
