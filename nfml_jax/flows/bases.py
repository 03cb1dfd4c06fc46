"""Base distributions: modules whose call gives a distrax distribution of events `[D]`.

A base may have parameters of its own, and may depend on the context.
"""

import distrax
import flax.linen as nn
import jax.numpy as jnp


class Normal(nn.Module):
    """Independent standard normals."""

    event_dim: int

    def __call__(self, context=None):
        zeros = jnp.zeros(self.event_dim)
        return distrax.Independent(distrax.Normal(zeros, jnp.ones_like(zeros)), 1)
