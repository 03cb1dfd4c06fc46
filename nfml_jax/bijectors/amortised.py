"""Parameters that are learned numbers, or follow the context as well.

An amortised flow (Rezende & Mohamed 2015) draws its parameters from a network of what
it is conditioned on, such as a variational encoder's output.
"""

import math

import flax.linen as nn
import jax
import numpy as np

from nfml_jax.errors import UserError
from nfml_jax.ops.checks import check_kind

Array = jax.Array


def amortised(module, context, dtype, **parameters) -> dict[str, Array]:
    """Parameters of a bijector by name, for use in its `@nn.compact` method.

    Each `name=(init, shape)` gives learned numbers `[*shape]`. If the module has a
    `conditioner`, its function of the context is added, and they are `[..., *shape]`;
    as conditioners start at zero, so `init` says where the bijector starts.
    """
    check_kind(module, nn.Module, optional=True, conditioner=module.conditioner)
    values = {
        name: module.param(name, init, shape).astype(dtype)
        for name, (init, shape) in parameters.items()
    }
    if module.conditioner is None:
        return values
    if context is None:
        raise UserError(
            f"{type(module).__name__} has a conditioner but was given no context; "
            "pass `context`, or leave the conditioner out."
        )
    sizes = [math.prod(shape) for _, shape in parameters.values()]
    raw = module.conditioner(None, context, sum(sizes)).astype(dtype)
    for (name, value), end, size in zip(
        values.items(), np.cumsum(sizes), sizes, strict=True
    ):
        part = raw[..., end - size : end]
        values[name] = value + part.reshape(*part.shape[:-1], *value.shape)
    return values
