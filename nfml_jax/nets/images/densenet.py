"""Densely connected convolutions, as in flows of SurVAE (Nielsen et al. 2020).

The layers are those of DenseNet (Huang et al. 2017) without its norms.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from nfml_jax.nets.images.conditioner import ImageConditioner
from nfml_jax.ops.checks import DEEPEST, WIDEST, check_flag, check_integer

Array = jax.Array


class DenseNet(ImageConditioner):
    """`blocks` residual blocks of `depth` layers that each see all layers before them.

    A layer is a 1×1 convolution of `hidden` channels and a 3×3 one of `growth`. A 1×1
    convolution takes a block's channels back to `hidden`; with `gated` it is multiplied
    by the sigmoid of another one.
    """

    hidden: int = 64
    depth: int = 4
    growth: int = 32
    blocks: int = 1
    gated: bool = True

    def check_options(self):
        super().check_options()
        check_integer(self, 1, WIDEST, hidden=self.hidden, growth=self.growth)
        check_integer(self, 0, DEEPEST, depth=self.depth, blocks=self.blocks)
        check_flag(self, gated=self.gated)

    def network(self, x, vector, features):
        x = self.add(self.conv(x, self.hidden), vector)
        for _ in range(self.blocks):
            x = x + self._block(x, vector)
        return self.out(self.activation(x), features)

    def _block(self, x: Array, vector: Array | None) -> Array:
        seen = x
        for _ in range(self.depth):
            y = self.activation(self.add(self.conv(seen, self.hidden, 1), vector))
            y = self.drop(self.activation(self.conv(y, self.growth)))
            seen = jnp.concatenate([seen, y], axis=-1)
        if not self.gated:
            return self.conv(seen, self.hidden, 1)
        value, gate = jnp.split(self.conv(seen, 2 * self.hidden, 1), 2, axis=-1)
        return value * nn.sigmoid(gate)
