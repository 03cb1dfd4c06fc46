"""Conditioners: networks that give a bijector's parameters.

Called as `conditioner(inputs [..., d] or None, context [..., c] or None, features)`;
the result is `[..., features]`. The last layer starts at zero, so that a flow starts as
the identity. `dtype` is the precision of the arithmetic, by default the inputs'.
Dropout acts where a "dropout" key is given, and nowhere else.
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
    """What conditioners have in common: activation, dropout, precision and output."""

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
        """Dropout, where a key for it is given."""
        return nn.Dropout(self.dropout, deterministic=not self.has_rng("dropout"))(x)

    def out(self, x: Array, features: int) -> Array:
        """The last layer, which starts at zero."""
        init = nn.initializers.zeros
        return nn.Dense(features, kernel_init=init, dtype=self.dtype, name="out")(x)


class MLP(Conditioner):
    """Dense layers of the given widths."""

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

    Durkan et al. 2019, appendix B. The context enters with the inputs, and gates the
    end of each block.
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
    """Inputs and context side by side, their leading axes broadcast."""
    parts = [part for part in (inputs, context) if part is not None]
    batch = jnp.broadcast_shapes(*(part.shape[:-1] for part in parts))
    parts = [jnp.broadcast_to(part, (*batch, part.shape[-1])) for part in parts]
    return jnp.concatenate(parts, axis=-1)
