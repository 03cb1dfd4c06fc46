"""The three convolutions of Glow (Kingma & Dhariwal 2018, section 3.3)."""

from nfml_jax.nets.images.conditioner import ImageConditioner
from nfml_jax.ops.checks import WIDEST, check_integer


class GlowNet(ImageConditioner):
    """A 3×3 and a 1×1 convolution of `hidden` channels, and a last 3×3 convolution."""

    hidden: int = 64

    def check_options(self):
        super().check_options()
        check_integer(self, 1, WIDEST, hidden=self.hidden)

    def network(self, x, vector, features):
        x = self.activation(self.add(self.conv(x, self.hidden), vector))
        x = self.drop(x)
        x = self.activation(self.add(self.conv(x, self.hidden, 1), vector))
        return self.out(x, features)
