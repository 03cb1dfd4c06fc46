"""Objectives have the exact gradient in the parameters of every base.

In one dimension divergences are integrals over a grid, so that their gradients are
known; those of the objectives are means over draws, with a standard error.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nfml_jax.bijectors import Affine, Elementwise
from nfml_jax.flows import Flow, bases
from nfml_jax.testing import perturb
from nfml_jax.variational import OBJECTIVES, approximation_of

GRID = jnp.linspace(-14, 14, 2001)[:, None]
CELL = 28 / 2000
TARGET = jnp.array([-1.5, 1.0])
DRAWS, BATCHES = 1000, 30
BASES = {
    "normal": bases.Normal(1),
    "student_t": bases.StudentT(1, 20.0),
    "mixture": bases.GaussianMixture(1, 3),
}


def log_target(x):
    """Two normals of scale 1.2, of weights 0.7 and 0.3, times exp(0.4)."""
    parts = jnp.log(jnp.array([0.7, 0.3])) - 0.5 * ((x - TARGET) / 1.2) ** 2
    return jax.nn.logsumexp(parts, -1) - 0.5 * jnp.log(2 * jnp.pi * 1.44) + 0.4


def integral(values):
    return values.sum() * CELL


def divergence(name, log_q):
    log_p = log_target(GRID)
    if name == "forward_kl":
        return integral(jnp.exp(log_p - 0.4) * (log_p - log_q))
    if name == "alpha_divergence":
        return -2 * jnp.log(integral(jnp.exp((log_p + log_q) / 2)))
    return integral(jnp.exp(log_q) * (log_q - log_p))


@pytest.mark.parametrize("name", BASES)
def test_gradients_in_all_parameters_are_those_of_the_integral(name):
    flow = Flow(Elementwise(Affine()), BASES[name], 1)
    q = approximation_of(flow)

    @jax.jit
    def run(key):
        variables = dict(flow.init(key, GRID))
        params = perturb(variables["params"], jax.random.key(5), 0.4)

        def want(objective, params):
            return divergence(objective, q.log_prob({"params": params}, GRID))

        def got(objective, params, key):
            estimate = OBJECTIVES[objective]
            return estimate(q, log_target, {"params": params}, key, DRAWS)

        keys = jax.random.split(key, BATCHES)
        return {
            objective: (
                jax.grad(partial(want, objective))(params),
                jax.lax.map(partial(jax.grad(partial(got, objective)), params), keys),
            )
            for objective in OBJECTIVES
        }

    for objective, (want, got) in run(jax.random.key(1)).items():
        for path, exact in jax.tree_util.tree_leaves_with_path(want):
            found = np.asarray(dict(jax.tree_util.tree_leaves_with_path(got))[path])
            error = found.std(0, ddof=1) / BATCHES**0.5
            gap = np.abs(found.mean(0) - exact)
            where = objective, jax.tree_util.keystr(path), found.mean(0), exact
            # Ratios of means are biased by little.
            assert (gap < 4.5 * error + 0.01).all(), where
