"""The call, the context and the layers that conditioners of images have in common."""

import math
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp

from nfml_jax.errors import UserError
from nfml_jax.nets.conditioners import Conditioner
from nfml_jax.nets.layers import Conv, he_normal

Array = jax.Array


class ImageConditioner(Conditioner):
    """A network of images, which gives a bijector its parameters at every pixel.

    Called as `conditioner(inputs [..., H, W, C] or None, context or None, features)`;
    the result is `[..., H, W, features]`, zero at the start. A context with as many
    axes as the inputs is a feature map `[..., H, W, c]`, which the network sees beside
    the inputs. Any other, and one of `[..., 1, 1, c]`, is a vector `[..., c]`, such as
    a class. The leading axes of both broadcast. Without inputs, the network sees the
    feature map alone.

    A subclass gives `network(x [B, H, W, C], vector [B, c] or None, features)`.
    """

    @nn.compact
    def __call__(self, inputs, context, features):
        x, vector, batch = _joined(self, inputs, context)
        y = self.network(x, vector, features)
        return y.reshape(*batch, *y.shape[1:])

    def network(self, x: Array, vector: Array | None, features: int) -> Array:
        raise NotImplementedError

    def conv(
        self,
        x: Array,
        features: int,
        size: int = 3,
        init: Callable = he_normal,
        use_bias: bool = True,
    ) -> Array:
        """Return a convolution of `size` × `size` pixels in the working precision."""
        return Conv(
            features,
            size,
            use_bias=use_bias,
            dtype=self.dtype or x.dtype,
            kernel_init=init,
        )(x)

    def norm(self, x: Array) -> Array:
        """Return `x` with each pixel's channels normalized, scaled and shifted."""
        return nn.LayerNorm(dtype=self.dtype)(x)

    def add(self, x: Array, vector: Array | None) -> Array:
        """Return `x` plus a linear function of the vector, the same at every pixel."""
        if vector is None:
            return x
        shift = nn.Dense(x.shape[-1], use_bias=False, dtype=self.dtype)(vector)
        return x + shift[:, None, None]

    def out(self, x: Array, features: int, size: int = 3) -> Array:
        """Return the last convolution, which starts at zero."""
        init = nn.initializers.zeros
        dtype = self.dtype or x.dtype
        return Conv(features, size, dtype=dtype, kernel_init=init, name="out")(x)


def _joined(net, inputs, context):
    """Return inputs with a map, a vector, both with one batch axis, and their batch."""
    if inputs is None:
        inputs, context = context, None
    if inputs is None or inputs.ndim < 3:
        shape = None if inputs is None else list(inputs.shape)
        raise UserError(
            f"{type(net).__name__} got inputs of shape {shape}; expected images "
            "[..., H, W, C]: give it a feature map, or take an MLP."
        )
    places = inputs.shape[-3:-1]
    maps, vector = [inputs], None
    if context is not None and context.ndim < inputs.ndim:
        vector = context
    elif context is not None and context.shape[-3:-1] == (1, 1):
        vector = context[..., 0, 0, :]
    elif context is not None:
        if context.shape[-3:-1] != places:
            raise UserError(
                f"{type(net).__name__} got inputs of {places[0]}×{places[1]} pixels and"
                f" a context of shape {list(context.shape)}; expected a feature map of "
                "the inputs' size, or a vector."
            )
        maps.append(context)
    batches = [m.shape[:-3] for m in maps]
    if vector is not None:
        batches.append(vector.shape[:-1])
    batch = jnp.broadcast_shapes(*batches)
    maps = [jnp.broadcast_to(m, (*batch, *m.shape[-3:])) for m in maps]
    x = jnp.concatenate(maps, axis=-1) if len(maps) > 1 else maps[0]
    count = math.prod(batch)
    if vector is not None:
        vector = jnp.broadcast_to(vector, (*batch, vector.shape[-1]))
        vector = vector.reshape(count, -1)
    return x.reshape(count, *x.shape[-3:]), vector, batch
