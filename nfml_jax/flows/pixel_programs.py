"""Pure functions of a flow of images and its variables, for training and after it."""

from typing import Any

import jax

from nfml_jax.flows.quantized import Quantized

Array = jax.Array


class PixelPrograms:
    """Functions `(variables, *rows) -> rows` of a flow, which treat rows independently.

    Every function takes the context of the rows `[N, classes]` as its last argument, if
    the flow is conditional.
    """

    def __init__(self, flow: Quantized):
        self.flow = flow

    def terms(self, variables, images: Array, keys: Array, *given: Array):
        """Return the terms of log P(x) by name, each `[N]`, of one draw of noise."""
        return self.flow.apply(variables, images, keys, *given, method="terms")

    def encode(self, variables, images: Array, *given: Array) -> Any:
        """Return the latents `[N, ...]` of images of levels."""
        return self.flow.apply(variables, images, *given, method="encode")

    def decode(self, variables, latents: Array, *given: Array) -> Any:
        """Return the levels `[N, H, W, C]` of latents, as floats."""
        return self.flow.apply(variables, latents, *given, method="decode")

    def log_dets(self, variables, images: Array, keys: Array, *given: Array):
        """Return the flow's parts; see `nfml_jax.flows.Flow.log_det_parts`."""
        return self.flow.apply(variables, images, keys, *given, method="log_det_parts")

    def latent_log_probs(self, variables, images: Array, keys: Array, *given: Array):
        """Return the base's log-density of each latent, for one draw of noise."""
        return self.flow.apply(
            variables, images, keys, *given, method="latent_log_probs"
        )

    def sample(self, variables, keys: Array, temperatures: Array, *given: Array):
        """Return draws as floats, one for each key, with latents by a temperature."""

        def one(key, temperature, *given):
            return temperature * self.flow.apply(
                variables, key, *given, method="sample_latents"
            )

        latents: Any = jax.vmap(one)(keys, temperatures, *given)
        return self.decode(variables, latents, *given)


def keys_of(key: Array, *numbers: Array) -> Array:
    """Return a key for each row of integers `[N]`.

    >>> import jax.numpy as jnp
    >>> keys_of(jax.random.key(0), jnp.arange(3), jnp.arange(3)).shape
    (3,)
    """

    def one(*numbers):
        return jax.tree.reduce(jax.random.fold_in, numbers, key)

    return jax.vmap(one)(*numbers)


def between(shares, first, last):
    """Return the points `[n, ...]` at `shares` `[n]` of the line between two arrays.

    >>> import jax.numpy as jnp
    >>> between(jnp.array([0.0, 0.5, 1.0]), jnp.zeros(2), jnp.ones(2))[:, 0].tolist()
    [0.0, 0.5, 1.0]
    """
    shares = shares.reshape(-1, *(1,) * first.ndim)
    return (1 - shares) * first + shares * last
