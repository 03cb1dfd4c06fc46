"""Parameters that are learned numbers, plus a function of the context if there is one.

In an amortized flow (Rezende & Mohamed 2015) a network computes the parameters from
the context, such as the output of a variational encoder.
"""

import math

import flax.linen as nn
import jax
import numpy as np

from nfml_jax.errors import UserError
from nfml_jax.ops.checks import check_kind

Array = jax.Array


def amortized(module, context, dtype, **parameters) -> dict[str, Array]:
    """Return the parameters of a bijector by name, within its `@nn.compact` method.

    Args:
      module: The bijector, with a field `conditioner`, which may be None.
      context: The context `[..., C]`, or None.
      dtype: The precision of the result.
      **parameters: The initializer and the shape of each parameter, `(init, shape)`.

    Returns:
      Learned numbers `[*shape]` for each name. If there is a conditioner, its output is
      added to them, and they are `[..., *shape]`. As conditioners start at zero, `init`
      determines where the bijector starts.

    Raises:
      UserError: There is a conditioner but no context.
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
