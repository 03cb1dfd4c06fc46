"""Conditioners: networks that compute a bijector's parameters.

They are called as `conditioner(inputs, context, features)` with inputs `[..., d]` or
None and a context `[..., c]` or None. The result is `[..., features]`. The last layer
starts at zero, so that a flow starts as the identity.
"""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from nfml_jax.ops.broadcasting import broadcasting_methods
from nfml_jax.ops.checks import (
    DEEPEST,
    WIDEST,
    check_function,
    check_integer,
    check_number,
    check_sizes,
)
from nfml_jax.ops.values import Value

Array = jax.Array


class Conditioner(Value):
    """The base class of conditioners.

    Attributes:
      activation: The activation function.
      dropout: The dropout rate. Dropout is active while a "dropout" key is given.
      dtype: The precision of the arithmetic, by default that of the inputs.
    """

    activation: Callable[[Array], Array] = nn.relu
    dropout: float = 0.0
    dtype: Any = None

    def __init_subclass__(cls, **options):
        broadcasting_methods(cls, "__call__", "network")
        super().__init_subclass__(**options)

    def check_options(self):
        check_function(self, activation=self.activation)
        check_number(self, 0.0, below=1.0, dropout=self.dropout)

    def drop(self, x: Array) -> Array:
        """Return `x` after dropout, which is active if there is a "dropout" key."""
        return nn.Dropout(self.dropout, deterministic=not self.has_rng("dropout"))(x)

    def out(self, x: Array, features: int) -> Array:
        """Return the last layer's output, which starts at zero."""
        init = nn.initializers.zeros
        return nn.Dense(features, kernel_init=init, dtype=self.dtype, name="out")(x)


class MLP(Conditioner):
    """Dense layers with the widths `hidden`.

    >>> x = jnp.zeros((5, 2))
    >>> net = MLP(hidden=(8,))
    >>> output, _ = net.init_with_output(jax.random.key(0), x, None, 3)
    >>> output.shape
    (5, 3)
    """

    hidden: tuple[int, ...] = (64, 64)

    def check_options(self):
        super().check_options()
        check_sizes(self, hidden=self.hidden)

    @nn.compact
    def __call__(self, inputs, context, features):
        x = join(inputs, context)
        for width in self.hidden:
            x = self.drop(self.activation(nn.Dense(width, dtype=self.dtype)(x)))
        return self.out(x, features)


class ResidualNet(Conditioner):
    """Pre-activation residual blocks of two layers, as in neural spline flows.

    The source is Durkan et al. 2019, appendix B. The context is concatenated to the
    inputs, and gates the end of each block.
    """

    hidden: int = 128
    blocks: int = 2

    def check_options(self):
        super().check_options()
        check_integer(self, 1, WIDEST, hidden=self.hidden)
        check_integer(self, 0, DEEPEST, blocks=self.blocks)

    @nn.compact
    def __call__(self, inputs, context, features):
        x = nn.Dense(self.hidden, dtype=self.dtype)(join(inputs, context))
        for _ in range(self.blocks):
            y = nn.Dense(self.hidden, dtype=self.dtype)(self.activation(x))
            y = self.drop(self.activation(y))
            # A block starts close to the identity.
            init = nn.initializers.normal(1e-3)
            y = nn.Dense(self.hidden, kernel_init=init, dtype=self.dtype)(y)
            if context is not None:
                gate = nn.Dense(self.hidden, dtype=self.dtype)(context)
                y = y * nn.sigmoid(gate)
            x = x + y
        return self.out(x, features)


def join(inputs: Array | None, context: Array | None) -> Array:
    """Return inputs and context concatenated, with their leading axes broadcast."""
    parts = [part for part in (inputs, context) if part is not None]
    batch = jnp.broadcast_shapes(*(part.shape[:-1] for part in parts))
    parts = [jnp.broadcast_to(part, (*batch, part.shape[-1])) for part in parts]
    return jnp.concatenate(parts, axis=-1)
