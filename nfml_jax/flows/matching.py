"""Flow matching: continuous flows trained without solving them (Lipman et al. 2023)."""

import jax

from nfml_jax.bijectors.combinators import Chain
from nfml_jax.bijectors.continuous import Continuous
from nfml_jax.errors import UserError
from nfml_jax.flows.flow import Flow
from nfml_jax.ops.events import broadcast_events

Array = jax.Array


def flow_matching_loss(
    flow: Flow,
    key: Array,
    x: Array,
    context: Array | None = None,
    *,
    sigma: float = 1e-4,
) -> Array:
    """Return an estimate of the flow matching loss, a scalar.

    It is E ‖f(t, x_t) - (x - (1 - σ) x₀)‖² with x_t = (1 - (1 - σ) t) x₀ + t x, where t
    is uniform and x₀ is drawn from the flow's base. So f is regressed on the velocity
    of straight paths (Lipman et al. 2023, eqs. 22-23).

    Args:
      flow: A bound flow whose bijector is one `Continuous`, such as that of
        `flows.ffjord` with one layer.
      key: A random key.
      x: The data `[..., D]`.
      context: Their contexts `[..., C]`, or None.
      sigma: σ, the standard deviation of the end of a path.

    Raises:
      UserError: The flow's bijector is another one.

    >>> import jax.numpy as jnp
    >>> from nfml_jax import flows
    >>> flow, x = flows.ffjord(event_dim=2, hidden=(8,)), jnp.zeros((4, 2))
    >>> variables = flow.init(jax.random.key(0), x)
    >>> loss = jax.jit(lambda variables, key: flow.apply(
    ...     variables, key, x, method=flow_matching_loss))
    >>> loss(variables, jax.random.key(1)).shape
    ()
    """
    bijector = flow.bijector
    while isinstance(bijector, Chain) and len(bijector.bijectors) == 1:
        bijector = bijector.bijectors[0]
    if not isinstance(bijector, Continuous):
        raise UserError(
            f"Flow matching trains a Continuous bijector, and this flow's is "
            f"{type(bijector).__name__}; take flows.ffjord with one layer, or train "
            "this one by its likelihood."
        )
    time_key, base_key = jax.random.split(key)
    x, context = broadcast_events(x, context)
    t = jax.random.uniform(time_key, x.shape[:-1], x.dtype)
    base = flow.base(context)
    shape = x.shape[: x.ndim - 1 - len(base.batch_shape)]
    start = base.sample(seed=base_key, sample_shape=shape).astype(x.dtype)
    left = 1 - (1 - sigma) * t[..., None]
    velocity = bijector.velocity(t, left * start + t[..., None] * x, context)
    return ((velocity - (x - (1 - sigma) * start)) ** 2).sum(-1).mean()
