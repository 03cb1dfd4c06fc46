"""Gated blocks with self-attention over all pixels, as Flow++ has (Ho et al. 2019)."""

import flax.linen as nn
import jax

from nfml_jax.nets.images.gated import GatedResNet, lecun_normal
from nfml_jax.ops.checks import check_integer, refuse

Array = jax.Array


class AttentionNet(GatedResNet):
    """A `GatedResNet` whose blocks each end with gated attention of `heads` heads.

    Queries, keys and values are linear in each pixel's channels and a learned number
    for its place. Time and memory grow with the square of the count of pixels.
    """

    blocks: int = 2
    heads: int = 4

    def check_options(self):
        super().check_options()
        check_integer(self, 1, heads=self.heads)
        if self.hidden % self.heads:
            refuse(self, "heads", self.heads, f"a divisor of hidden={self.hidden}")

    def block(self, x, vector, number):
        x = super().block(x, vector, number)
        return self.norm(x + self.gated(self._attended(x, number)))

    def _attended(self, x, number):
        count, height, width, hidden = x.shape
        init = nn.initializers.normal(0.01)
        place = self.param(f"place_{number}", init, (height, width, hidden))
        y = self.conv(x + place.astype(x.dtype), 3 * hidden, 1, init=lecun_normal)
        y = y.reshape(count, height * width, 3, self.heads, hidden // self.heads)
        y = jax.nn.dot_product_attention(*(y[:, :, i] for i in range(3)))
        return y.reshape(x.shape)
