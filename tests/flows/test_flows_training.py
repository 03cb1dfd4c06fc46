"""Every recipe trains in a per-device step, in both directions.

What shard_map minds (carries of loops and derivatives that vary between devices in one
place and not in another) shows when the step is traced; nothing is compiled.
"""

import jax
import jax.numpy as jnp
import optax
import pytest
from jax.sharding import PartitionSpec as P

from nfml_jax import flows
from nfml_jax.bijectors.continuous import has_continuous
from nfml_jax.training.sharding import AXIS, make_mesh, per_device
from nfml_jax.training.step import init_state, make_step
from tests.slow import slow_but

D, C = 3, 2

# One recipe of each way to loop: none, couplings, both directions of autoregressive
# maps, a fixed point, and planar maps. An inverse by bisection and a solver are slow.
KINDS = ("independent", "rq_nsf", "maf", "iaf", "residual", "planar")


@pytest.mark.parametrize("recipe", slow_but(flows.RECIPES, KINDS))
def test_a_step_can_be_traced(recipe):
    flow = flows.make_flow(recipe, D, layers=2, context_dim=C)
    optimizer, key = optax.adam(1e-3), jax.random.key(0)

    def loss(params, collections, batch, step):
        (x, context), keys = batch
        variables = {"params": params, **collections}
        rngs = {"log_det": keys[0]}
        log_prob = flow.apply(variables, x, context, rngs=rngs)
        # Variational inference differentiates the other direction.
        _, drawn = flow.apply(
            variables, keys[0], (), context, method="sample_and_log_prob", rngs=rngs
        )
        return (drawn - log_prob).mean(), (collections, {})

    step = make_step(loss, optimizer, key=key)
    split = P(AXIS)
    mapped = per_device(
        step,
        make_mesh(jax.devices()[:1]),
        (P(), split, split),
        checked=not has_continuous(flow),
    )

    def train(x, context):
        state = init_state(flow.init(key, x, context), optimizer, average=False)
        return mapped(state, (x, context), jnp.arange(len(x)))

    before = jax.eval_shape(flow.init, key, jnp.zeros((4, D)), jnp.zeros((4, C)))
    state, metrics = jax.eval_shape(train, jnp.zeros((4, D)), jnp.zeros((4, C)))
    assert jax.tree.structure(state.params) == jax.tree.structure(before["params"])
    assert metrics["loss"].shape == ()
