"""Bijectors made of bijectors: chains, inverses and stacks of identical layers."""

import flax.linen as nn

from nfml_jax.bijectors.bijector import Bijector, zero_log_det
from nfml_jax.ops.checks import DEEPEST, check_flag, check_integer, check_kind

INTERMEDIATES = "intermediates"


class Chain(Bijector):
    """The composition of several bijectors.

    `forward` applies the first one first, and the log-determinants are summed. All get
    the same context.

    >>> import jax.numpy as jnp
    >>> from nfml_jax.bijectors import Elementwise, Exp, Reverse
    >>> chain = Chain((Reverse(), Elementwise(Exp())))
    >>> y, log_det = chain.apply({}, jnp.array([[0.0, 0.5, 1.0]]))
    >>> [round(float(value), 3) for value in y[0]], log_det.tolist()
    ([2.718, 1.649, 1.0], [1.5])
    """

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
    """The inverse of a bijector.

    It is of use where the inverse is the direction that should be fast, as in a masked
    autoregressive flow.

    >>> import jax.numpy as jnp
    >>> from nfml_jax.bijectors import Elementwise, Exp
    >>> log = Inverse(Elementwise(Exp()))
    >>> y, log_det = log.apply({}, jnp.array([[1.0, 2.0, 4.0]]))
    >>> [round(float(value), 3) for value in y[0]], round(float(log_det[0]), 3)
    ([0.0, 0.693, 1.386], -2.079)
    """

    bijector: Bijector

    def check_options(self):
        check_kind(self, Bijector, bijector=self.bijector)

    def forward_and_log_det(self, x, context=None):
        return self.bijector.inverse_and_log_det(x, context)

    def inverse_and_log_det(self, y, context=None):
        return self.bijector.forward_and_log_det(y, context)


class Stack(Bijector):
    """A stack of identical layers, each with its own parameters and constants.

    The layers run in one `lax.scan`, so that the compile time doesn't grow with their
    number. All variables have a leading axis `[length, ...]`. Where the collection
    "intermediates" is mutable, it receives the events after each layer.

    Attributes:
      layer: The bijector that is repeated.
      length: The number of layers.
      remat: If true, a layer's activations are computed again for its gradient instead
        of being stored.

    >>> import jax
    >>> import jax.numpy as jnp
    >>> from nfml_jax.bijectors import LU
    >>> stack = Stack(LU(), length=2)
    >>> variables = stack.init(jax.random.key(0), jnp.zeros((1, 3)))
    >>> variables["params"]["layer"]["triangles"].shape
    (2, 3, 3)
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
            # Stored only where the collection is mutable.
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
