"""Losses without parameters as plain functions of arrays, for loops of any library."""

from typing import Any

import jax

from nfml_jax.errors import UserError
from nfml_jax.losses.make import make_loss


def loss_value(name: str, embeddings, labels, **options) -> jax.Array:
    """Return a loss `[]` of a batch, for use under `jax.grad` in any loop.

    Args:
      name: one of `LOSSES` that learns nothing by itself.
      embeddings: `[B, D]`.
      labels: integers `[B]`; a row with a negative label takes no part.
      **options: the fields of the loss, and its `miner`.

    Raises:
      UserError: if the loss has parameters, such as proxies. It is a Flax module then,
        which `make_loss` returns.

    >>> import jax.numpy as jnp
    >>> x = jnp.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
    >>> float(loss_value("triplet", x, jnp.array([0, 0, 1]), margin=0.25))
    0.25
    """
    module = make_loss(2, embeddings.shape[-1], name=name, **options)
    variables = jax.eval_shape(module.init, jax.random.key(0), embeddings, labels)
    if variables:
        raise UserError(
            f"the loss {name!r} learns {', '.join(sorted(variables))}; make its module "
            "by nfml_jax.losses.make_loss, and train its parameters with yours."
        )
    output: Any = module.apply({}, embeddings, labels)
    return output.loss
