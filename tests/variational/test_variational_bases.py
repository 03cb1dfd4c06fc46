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
from nfml_jax.flows.resampled import Resampled
from nfml_jax.nets.conditioners import MLP
from nfml_jax.testing import start
from nfml_jax.variational import OBJECTIVES, approximation_of
from tests.slow import slow_but

GRID = jnp.linspace(-14, 14, 2001)[:, None]
CELL = 28 / 2000
TARGET = jnp.array([-1.5, 1.0])
DRAWS, BATCHES = 1000, 40
NET = MLP(hidden=(4,), activation=jnp.tanh)
BASES = {
    "normal": bases.Normal(1),
    "student_t": bases.StudentT(1, 20.0),
    "mixture": bases.GaussianMixture(1, 3),
    "resampled": Resampled(1, NET, truncation=4, samples=2**14),
    "resampled_mixture": Resampled(1, NET, bases.GaussianMixture(1, 2), 50, 2**14),
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


def started(flow):
    """Return variables of a q that covers the target, as importance weights need."""
    variables = start(flow, GRID, seed=1, spread=0.4)
    variables["params"]["bijector"]["raw"] = np.float32([[0.6, 0.2]])
    return variables


def rate_of(flow, variables):
    """The mean probability that a draw of the proposal is retained, by the integral."""

    def retained(flow):
        base = flow.base()
        return jnp.exp(base._proposal.log_prob(GRID)) * jax.nn.sigmoid(base.logit(GRID))

    return integral(flow.apply(variables, method=retained))


def exact_log_prob(flow, variables):
    """log q on the grid; that of a resampled base is written out here."""
    if "acceptance" not in variables:
        return flow.apply(variables, GRID)

    def parts(flow):
        z, log_det = flow.bijector.inverse_and_log_det(GRID)
        base = flow.base()
        return base._proposal.log_prob(z), jax.nn.sigmoid(base.logit(z)), log_det

    rate = rate_of(flow, variables)
    always = (1 - rate) ** (flow.base.truncation - 1)
    log_proposal, retained, log_det = flow.apply(variables, method=parts)
    return log_proposal + log_det + jnp.log((1 - always) * retained / rate + always)


# A normal base shows the objectives' gradients; those of the others run by --slow.
@pytest.mark.parametrize("name", slow_but(BASES, ["normal"]))
def test_gradients_in_all_parameters_equal_those_of_the_integral(name):
    flow = Flow(Elementwise(Affine()), BASES[name], 1)
    q = approximation_of(flow)

    @jax.jit
    def run(key, variables):
        if "acceptance" in variables:
            rate = {"base": {"rate": rate_of(flow, variables)}}
            variables |= {"acceptance": rate}

        def want(objective, params):
            given = variables | {"params": params}
            return divergence(objective, exact_log_prob(flow, given))

        def got(objective, params, key):
            given = variables | {"params": params}
            return OBJECTIVES[objective](q, log_target, given, key, DRAWS)

        def both(objective):
            exact_gradient = jax.grad(partial(want, objective))(variables["params"])
            one = partial(jax.grad(partial(got, objective)), variables["params"])
            return exact_gradient, jax.lax.map(one, jax.random.split(key, BATCHES))

        return {objective: both(objective) for objective in OBJECTIVES}

    wrong = []
    for objective, (want, got) in run(jax.random.key(1), started(flow)).items():
        got = dict(jax.tree_util.tree_leaves_with_path(got))
        for path, exact in jax.tree_util.tree_leaves_with_path(want):
            found = np.asarray(got[path])
            error = found.std(0, ddof=1) / BATCHES**0.5
            # Ratios of means, and a rate from fixed draws, are biased by little.
            if (np.abs(found.mean(0) - exact) > 4.5 * error + 0.01).any():
                where = jax.tree_util.keystr(path)
                wrong.append((objective, where, found.mean(0), error, exact))
    assert not wrong, wrong
