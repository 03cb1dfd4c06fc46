"""Annealing estimates normalizers, and its chains leave the target invariant."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from nfml_jax.variational import (
    annealed_importance_sampling,
    estimates,
    hamiltonian,
    random_walk,
)
from tests.slow import slow

KEY = jax.random.key(1)
N = 4000
TRANSITIONS = {"random walk": random_walk(0.6), "hamiltonian": hamiltonian(0.25, 5)}


def log_initial(x):
    return (-0.5 * x**2 - 0.5 * jnp.log(2 * jnp.pi)).sum(-1)


def log_target(x):
    """Two equal bumps of width 0.4, unnormalized; log Z = log(4π · 0.4²)."""
    bumps = [-((x - m) ** 2).sum(-1) / 0.32 for m in (1.0, -1.0)]
    return jnp.logaddexp(*bumps)


LOG_Z = np.log(4 * np.pi * 0.16)


@partial(jax.jit, static_argnames="kind")
def anneal(key, betas, kind):
    start_key, key = jax.random.split(key)
    start = jax.random.normal(start_key, (N, 2))
    return annealed_importance_sampling(
        key, start, log_initial, log_target, TRANSITIONS[kind], betas
    )


@pytest.mark.parametrize("kind", slow(TRANSITIONS, ["random walk"]))
def test_the_normalizer_is_more_accurate_with_more_steps(kind):
    sizes = []
    for steps in (2, 24):
        annealed = anneal(KEY, jnp.linspace(0, 1, steps + 1), kind)
        found = {k: float(v) for k, v in estimates(annealed.log_weights).items()}
        assert found["log_z"] == pytest.approx(LOG_Z, abs=4 * found["log_z_error"])
        sizes.append(found["ess"])
        assert annealed.acceptance.shape == (steps,)
        assert (annealed.acceptance > 0.2).all()
    assert sizes[1] > 1.5 * sizes[0]
    # The points, weighted, are those of the target: as many above as below.
    weights = jax.nn.softmax(annealed.log_weights)
    above = float(weights @ (annealed.points.sum(1) > 0))
    assert above == pytest.approx(0.5, abs=0.06)


@pytest.mark.parametrize("kind", TRANSITIONS)
def test_chains_leave_their_density_invariant(kind):
    @jax.jit
    def many(key):
        def step(x, key):
            x, accepted = TRANSITIONS[kind](key, log_initial, x)
            return x, accepted.mean()

        start = jax.random.normal(key, (N, 2))
        end, accepted = jax.lax.scan(step, start, jax.random.split(key, 30))
        return start, end, accepted

    start, end, accepted = many(KEY)
    assert 0.3 < accepted.mean() < 0.999
    assert stats.kstest(np.asarray(end).ravel(), "norm").pvalue > 1e-3
    assert abs(np.corrcoef(start[:, 0], end[:, 0])[0, 1]) < 0.3
    assert abs(np.corrcoef(end.T)[0, 1]) < 0.08


def test_a_chain_does_not_enter_regions_of_zero_density():
    def log_half(x):
        return jnp.where(x[:, 0] > 0, log_initial(x), -jnp.inf)

    def log_nan(x):
        return jnp.where(x[:, 0] > 0, log_initial(x), jnp.nan)

    start = jnp.abs(jax.random.normal(KEY, (200, 2)))
    for log_density in (log_half, log_nan):
        for transition in TRANSITIONS.values():
            x, probability = jax.jit(partial(transition, KEY, log_density))(start)
            assert (x[:, 0] > 0).all()
            assert np.isfinite(probability).all()
