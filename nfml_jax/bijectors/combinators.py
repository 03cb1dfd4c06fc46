"""Bijectors made of bijectors: one after another, turned round, or many alike."""

import flax.linen as nn

from nfml_jax.bijectors.bijector import Bijector, zero_log_det
from nfml_jax.ops.checks import DEEPEST, check_flag, check_integer, check_kind

INTERMEDIATES = "intermediates"


class Chain(Bijector):
    """Bijectors one after another; `forward` applies the first one first."""

    bijectors: tuple[Bijector, ...]

    def check_options(self):
        check_kind(self, tuple, bijectors=self.bijectors)
        for bijector in self.bijectors:
            check_kind(self, Bijector, bijectors=bijector)

    def forward_and_log_det(self, x, context=None):
        total = zero_log_det(x)
        for bijector in self.bijectors:
            x, log_det = bijector.forward_and_log_det(x, context)
            total += log_det
        return x, total

    def inverse_and_log_det(self, y, context=None):
        total = zero_log_det(y)
        for bijector in reversed(self.bijectors):
            y, log_det = bijector.inverse_and_log_det(y, context)
            total += log_det
        return y, total


class Inverse(Bijector):
    """A bijector turned round, for when its inverse is the fast direction to sample."""

    bijector: Bijector

    def check_options(self):
        check_kind(self, Bijector, bijector=self.bijector)

    def forward_and_log_det(self, x, context=None):
        return self.bijector.inverse_and_log_det(x, context)

    def inverse_and_log_det(self, y, context=None):
        return self.bijector.forward_and_log_det(y, context)


class Stack(Bijector):
    """`length` layers alike, each with its own parameters and constants.

    The layers run in one `lax.scan`, so the time to compile doesn't grow with their
    number; all variables have a leading axis `[length, ...]`. `remat` computes a
    layer's activations anew for its gradient instead of keeping them. Where the
    collection "intermediates" is mutable it gets the events after each layer.
    """

    layer: Bijector
    length: int
    remat: bool = False

    def check_options(self):
        check_kind(self, Bijector, layer=self.layer)
        check_integer(self, 1, DEEPEST, length=self.length)
        check_flag(self, remat=self.remat)

    def forward_and_log_det(self, x, context=None):
        return self._scan(x, context, inverse=False)

    def inverse_and_log_det(self, y, context=None):
        return self._scan(y, context, inverse=True)

    def _scan(self, x, context, *, inverse):
        def one(layer, x, _):
            step = layer.inverse_and_log_det if inverse else layer.forward_and_log_det
            x, log_det = step(x, context)
            # Kept only where the collection is mutable: where events are on their way.
            layer.sow(INTERMEDIATES, "event", x, init_fn=tuple, reduce_fn=_latest)
            return x, log_det

        if self.remat:
            one = nn.remat(one, prevent_cse=False)
        scan = nn.scan(
            one,
            variable_axes={True: 0},
            split_rngs={True: True},
            length=self.length,
            reverse=inverse,
        )
        x, log_dets = scan(self.layer, x, None)
        return x, log_dets.sum(0)


def _latest(_, new):
    return new
