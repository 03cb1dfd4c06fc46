"""A flow has no density where its map has no image, whatever its structure and base."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nfml_jax.bijectors import (
    Affine,
    Autoregressive,
    Chain,
    Coupling,
    Elementwise,
    Exp,
    Inverse,
    LinearSpline,
    Logit,
    Reverse,
    Stack,
    Tanh,
)
from nfml_jax.flows import Flow
from nfml_jax.flows.bases import Normal, StudentT
from nfml_jax.nets.conditioners import MLP
from nfml_jax.nets.made import MADE
from tests.slow import slow

BOX = LinearSpline(bins=2, bound=1.0, tails="box")
NET = MLP(hidden=(4,))
# Maps whose images lie within (0, 1), or hold it.
STRUCTURES = {
    "elementwise": Elementwise(Exp()),
    "inverse": Inverse(Elementwise(Logit())),
    "chain": Chain([Elementwise(Affine()), Reverse(), Elementwise(Tanh())]),
    "stack": Stack(Elementwise(BOX), 2),
    "coupling": Coupling(BOX, NET),
    "identity of a coupling": Coupling(Affine(), NET, identity=Elementwise(BOX)),
    "autoregressive": Autoregressive(BOX, MADE(hidden=(4,))),
    "inverse autoregressive": Inverse(Autoregressive(BOX, MADE(hidden=(4,)))),
}


@pytest.mark.parametrize("name", slow(STRUCTURES, ["stack", "identity of a coupling"]))
def test_the_density_is_zero_outside_of_the_image(name):
    base = StudentT(2) if name == "elementwise" else Normal(2)
    flow = Flow(STRUCTURES[name], base, 2)
    x = jnp.array([[0.3, 0.6], [-2.0, -3.0], [0.5, 0.2], [-1e30, 1e20]])

    @jax.jit
    def run(key):
        variables = flow.init(key, x[::2])

        def log_prob(variables, x):
            return flow.apply(variables, x)

        found, pull = jax.vjp(log_prob, variables, x)
        return found, pull(jnp.ones(len(x)))

    log_prob, (in_variables, in_x) = run(jax.random.key(0))
    assert np.isfinite(log_prob[::2]).all() and np.isneginf(log_prob[1::2]).all()
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(in_variables))
    assert np.isfinite(in_x[::2]).all() and not in_x[1::2].any()
