"""The scale of each latent of a flow of images with several scales."""

import jax.numpy as jnp
import numpy as np

from nfml_jax.bijectors import Bijector, Chain, Conjugate, Inverse, Partial
from nfml_jax.flows.flow import Flow
from nfml_jax.flows.quantized import Quantized


def latent_scales(flow: Flow | Quantized) -> np.ndarray:
    """Return the scale of each latent, integers `[*base_shape]` from 1 (the finest).

    A `Partial` begins the next scale, and what it leaves belongs to the one around it.
    Scales are nested in a `Conjugate`, as those of `nfml_jax.flows.recipes.images` are.

    >>> from nfml_jax.flows.recipes.images import glow
    >>> latent_scales(glow((4, 4, 1), levels=2, steps=1))[..., 0]
    array([[2, 1, 2, 1],
           [1, 2, 1, 2],
           [2, 1, 2, 1],
           [1, 2, 1, 2]])
    """
    density = flow.flow if isinstance(flow, Quantized) else flow
    bijector, ones = getattr(density, "bijector", None), jnp.ones(flow.base_shape)
    scales = ones if bijector is None else _scales(bijector, ones)
    return np.asarray(scales).round().astype(int)


def _scales(bijector: Bijector, numbers):
    """Return the numbers of scales `[*event]`, counted on inside each `Partial`."""
    if isinstance(bijector, Inverse):
        return _scales(bijector.bijector, numbers)
    if isinstance(bijector, Chain):
        for part in bijector.bijectors:
            numbers = _scales(part, numbers)
        return numbers
    if isinstance(bijector, Conjugate):
        change = bijector.change
        inside = change.apply({}, numbers, method="forward")
        return change.apply({}, _scales(bijector.bijector, inside), method="inverse")
    if isinstance(bijector, Partial):
        count = bijector.count(numbers.shape[-1])
        part = _scales(bijector.bijector, numbers[..., :count] + 1)
        return jnp.concatenate([part, numbers[..., count:]], axis=-1)
    return numbers
