"""Every recipe with its defaults is a density that can be sampled."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nfml_jax import flows
from nfml_jax.errors import UserError
from nfml_jax.flows.recipes import option_names
from nfml_jax.testing import start
from tests.slow import slow

KEY = jax.random.key(0)


# The transforms and networks of these recipes have laws of their own, and a structure
# that another recipe has.
OF_KNOWN_PARTS = (
    *("bernstein", "sos", "naf", "umnn", "gaussianization", "flowpp", "residual"),
    *("bnaf", "sylvester", "iaf"),
)


@pytest.mark.parametrize("recipe", slow(flows.RECIPES, OF_KNOWN_PARTS))
def test_samples_have_the_log_prob_they_were_drawn_with(recipe):
    """The two directions agree, whatever else is in the batch.

    NaN beside the draws gives NaN alone, and points far out have no density.
    """
    flow = flows.make_flow(recipe, 3, context_dim=2)
    context = jnp.linspace(-1, 1, 10).reshape(5, 2)
    x = jax.random.normal(KEY, (5, 3))

    @jax.jit
    def both(variables):
        draws, log_probs = flow.apply(
            variables, KEY, (4,), context, method="sample_and_log_prob"
        )
        missing = draws[:1].at[..., 1].set(jnp.nan)
        far = jnp.full_like(draws[:1], 1e30)
        every = jnp.concatenate([draws, missing, far])
        return draws, log_probs, flow.apply(variables, every, context)

    draws, log_probs, again = both(start(flow, x, context, spread=0.03))
    again, missing, far = again[:4], again[4], again[5]
    assert np.isnan(missing).all()
    # Networks may overflow there, which is NaN. A circle has no far.
    assert not (far > -np.inf).any() or recipe == "circular_nsf"
    assert draws.shape == (4, 5, 3) and log_probs.shape == (4, 5)
    assert np.isfinite(draws).all()
    np.testing.assert_allclose(log_probs, again, rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize("recipe", OF_KNOWN_PARTS)
def test_a_recipe_has_both_directions(recipe):
    flow = flows.make_flow(recipe, 3, context_dim=2)
    x, context = jnp.zeros((5, 3)), jnp.zeros((5, 2))
    variables = jax.eval_shape(flow.init, KEY, x, context)

    def both(variables):
        draws = flow.apply(variables, KEY, (4,), context, method="sample")
        return draws, flow.apply(variables, draws, context)

    shapes = jax.tree.map(jnp.shape, jax.eval_shape(both, variables))
    assert shapes == ((4, 5, 3), (4, 5))


@pytest.mark.parametrize("base", flows.BASES)
def test_a_base_by_name(base):
    flow = flows.nice(2, layers=1, hidden=(4,), base=base)
    x = jnp.zeros((3, 2))
    assert np.isfinite(jax.jit(flow.init_with_output)(KEY, x)[0]).all()


@pytest.mark.parametrize(
    "recipe", slow(["rq_nsf", "maf", "bernstein", "planar"], ["rq_nsf", "bernstein"])
)
def test_the_density_integrates_to_one(recipe):
    flow = flows.make_flow(recipe, 2, layers=2)
    side = jnp.linspace(-8, 8, 161)
    grid = jnp.stack(jnp.meshgrid(side, side), -1).reshape(-1, 2)
    log_prob = jax.jit(flow.apply)(start(flow, grid[::100], spread=0.03), grid)
    assert float(jnp.exp(log_prob).sum() * 0.1**2) == pytest.approx(1, abs=2e-3)


@pytest.mark.parametrize("fast", ["log_prob", "sample"])
def test_batch_norm_learns_from_data_to_base(fast):
    flow = flows.maf(2, layers=1, hidden=(4,), normalize="batch", fast=fast)
    x = 3 + jax.random.normal(KEY, (64, 2))

    @jax.jit
    def run(x):
        variables = flow.init(KEY, x)
        seen = flow.apply(variables, x, mutable=["batch_stats"])
        return seen, flow.apply(variables, x)

    seen, unseen = run(x)
    mean, *_ = (v for v in jax.tree.leaves(seen[1]) if v.shape == (2,))
    np.testing.assert_allclose(np.sort(mean), np.sort(x.mean(0)), rtol=1e-5)
    assert seen[0].mean() > unseen.mean()


def test_scaled_logits_are_divided_by_the_root_of_the_networks_width():
    flow = flows.rq_nsf(2, layers=1, hidden=16, scale_logits=True)
    coupling = flow.bijector.bijector.bijectors[0].bijectors[-1]
    raw = jnp.arange(23.0)
    cool, warm = coupling.transform, coupling.identity.transform
    scaled = jnp.where(jnp.arange(23) < 16, raw / 4, raw)
    for one, other in zip(cool.make_bins(raw), warm.make_bins(scaled), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6)


def test_a_bound_flow_is_a_distrax_distribution():
    flow = flows.maf(3, layers=1, hidden=(8,))
    variables = start(flow, jnp.zeros((2, 3)), spread=0.03)
    distribution = flow.bind(variables).distribution()
    draws, log_probs = distribution.sample_and_log_prob(seed=KEY, sample_shape=(2, 4))
    assert draws.shape == (2, 4, 3) and distribution.event_shape == (3,)
    np.testing.assert_allclose(distribution.log_prob(draws), log_probs, atol=1e-4)


@pytest.mark.parametrize(
    "call, sentence",
    [
        (lambda: flows.make_flow("rqnsf", 3), "did you mean 'rq_nsf'"),
        (lambda: flows.make_flow("maf", 3, hiden=3), "did you mean 'hidden'"),
        (lambda: flows.make_flow("nice", 3, fast="both"), "'log_prob', 'sample'"),
        (lambda: flows.rq_nsf(3, kind="masked"), "'coupling', 'autoregressive'"),
        (lambda: flows.nice(3).init(KEY, jnp.zeros((2, 4))), "last axis must be 3"),
        (lambda: flows.nice(0), "event_dim=0"),
        (lambda: flows.maf(3, normalize="bach"), "False, True, 'batch'"),
        (lambda: flows.maf(3, activation="tan"), "did you mean 'tanh'"),
        (lambda: flows.nice(3, base="norml"), "did you mean 'normal'"),
        (
            lambda: flows.nice(3).init(KEY, jnp.zeros((2, 3)), jnp.zeros((2, 1))),
            "context_dim = 0",
        ),
        (
            lambda: flows.nice(3, context_dim=2).init(KEY, jnp.zeros((2, 3))),
            "context_dim = 2",
        ),
    ],
)
def test_mistakes_get_a_sentence(call, sentence):
    with pytest.raises(UserError, match=sentence):
        call()


def test_options_reach_through_to_where_they_are_used():
    assert {"layers", "hidden", "solver", "context_dim", "fast", "base"} <= set(
        option_names(flows.iaf)
    )
