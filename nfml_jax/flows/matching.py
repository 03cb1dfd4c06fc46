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
    """E ‖f(t, x_t) - (x - (1 - σ) x₀)‖², x_t = (1 - (1 - σ) t) x₀ + t x; a scalar.

    t is uniform, x₀ drawn from the flow's base and x `[..., D]` data, so that f is
    regressed on the velocity of straight paths (Lipman et al. 2023, eqs. 22-23). The
    flow's bijector is a `Continuous`, as `flows.ffjord` makes it of one layer; anything
    else raises UserError.

        loss = flow.apply(variables, key, x, method=flow_matching_loss)
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
