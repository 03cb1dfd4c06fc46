"""A training loop in one compiled program, for data that fits on the device.

It has no checkpoints, logs or validation, which are in `nfml_jax.training.loop`.
"""

from collections.abc import Callable
from typing import Any

import jax
import optax

from nfml_jax.ops.checks import check_integer

PyTree = Any


def fit(
    loss: Callable[[PyTree, jax.Array], jax.Array],
    params: PyTree,
    optimizer: optax.GradientTransformation,
    steps: int,
    key: jax.Array,
) -> tuple[PyTree, jax.Array]:
    """Return parameters after `steps` updates, and the loss at each of them.

    Args:
      loss: a function of the parameters and of a key, which draws the batch.
      params: the parameters to start from, any tree of arrays.
      optimizer: an optimizer of optax.
      steps: the number of updates.
      key: the source of one key for each step.

    Returns:
      The parameters, and the losses `[steps]`.

    >>> import jax.numpy as jnp
    >>> data = jnp.array([1.0, 2.0, 6.0])
    >>> def loss(params, key):
    ...     batch = jax.random.choice(key, data, (2,))
    ...     return jnp.mean((batch - params["mean"]) ** 2)
    >>> params, losses = fit(
    ...     loss, {"mean": jnp.array(0.0)}, optax.adam(0.1), 300, jax.random.key(0)
    ... )
    >>> bool(abs(params["mean"] - 3.0) < 0.5), losses.shape
    (True, (300,))
    """
    check_integer(None, 1, steps=steps)

    def step(carry, key):
        params, state = carry
        value, grads = jax.value_and_grad(loss)(params, key)
        updates, state = optimizer.update(grads, state, params)
        return (optax.apply_updates(params, updates), state), value

    start = params, optimizer.init(params)
    keys = jax.random.split(key, steps)
    (params, _), losses = jax.jit(lambda s: jax.lax.scan(step, s, keys))(start)
    return params, losses
