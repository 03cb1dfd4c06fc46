"""Residual blocks of convolutions, as RealNVP has (Dinh et al. 2017, section 3.7)."""

from nfml_jax.nets.images.conditioner import ImageConditioner
from nfml_jax.ops.checks import DEEPEST, WIDEST, check_flag, check_integer


class ResNet(ImageConditioner):
    """Pre-activation blocks of two 3×3 convolutions; the output sees every block.

    A 1×1 convolution of the first layer's and of each block's result is added up for
    the last 1×1 convolution. `norm_layers` puts a layer norm before each activation,
    where the paper has batch norm: a density may not depend on the rest of a batch.
    """

    hidden: int = 64
    blocks: int = 4
    norm_layers: bool = True

    def check_options(self):
        super().check_options()
        check_integer(self, 1, WIDEST, hidden=self.hidden)
        check_integer(self, 0, DEEPEST, blocks=self.blocks)
        check_flag(self, norm_layers=self.norm_layers)

    def network(self, x, vector, features):
        x = self.add(self.conv(x, self.hidden), vector)
        total = self.conv(x, self.hidden, 1)
        for _ in range(self.blocks):
            y = self.add(
                self.conv(self._active(x), self.hidden, use_bias=False), vector
            )
            x = x + self.conv(self.drop(self._active(y)), self.hidden)
            total = total + self.conv(x, self.hidden, 1)
        return self.out(self._active(total), features, size=1)

    def _active(self, x):
        return self.activation(self.norm(x) if self.norm_layers else x)
