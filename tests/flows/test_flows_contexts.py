"""Batches of events and of contexts broadcast, in every bijector, base and flow."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nfml_jax import flows
from nfml_jax.bijectors import Affine, Elementwise
from nfml_jax.bijectors.catalogue import BIJECTORS
from nfml_jax.errors import UserError
from nfml_jax.flows import bases
from nfml_jax.flows.resampled import Resampled
from nfml_jax.nets.conditioners import MLP
from nfml_jax.testing import start

KEY = jax.random.key(0)
# Batches of events and of contexts.
FEW = ((), (7,)), ((5, 1), (4,))
MORE = ((1,), (7,)), ((5,), (4, 1)), ((4, 5), (5,))
in_batches = pytest.mark.parametrize(
    "batches", [FEW, pytest.param(MORE, marks=pytest.mark.slow)], ids=["few", "more"]
)


def net():
    return MLP(hidden=(4,))


BASES = [
    bases.Normal(3),
    bases.Uniform(3),
    bases.StudentT(3, conditioner=net()),
    bases.GaussianMixture(3, conditioner=net()),
    bases.VonMises(3, conditioner=net()),
    bases.VonMisesFisher(3, conditioner=net()),
    bases.UniformSphere(3),
    Resampled(3),
]


@in_batches
@pytest.mark.parametrize(
    "name",
    [n for n, e in BIJECTORS.items() if e.exact and not n.startswith("coupling_")],
)
def test_every_bijector_broadcasts_events_and_contexts(name, batches):
    bijector = BIJECTORS[name].make(True)
    variables = jax.eval_shape(bijector.init, KEY, jnp.zeros((2, 3)), jnp.zeros((2, 2)))
    for events, contexts in batches:
        batch = np.broadcast_shapes(events, contexts)
        x, context = jnp.full((*events, 3), 0.3), jnp.ones((*contexts, 2))
        for method in "forward_and_log_det", "inverse_and_log_det":
            found = jax.eval_shape(
                lambda v, x=x, c=context, m=method: bijector.apply(v, x, c, method=m),
                variables,
            )
            assert [array.shape for array in found] == [(*batch, 3), batch]


@in_batches
@pytest.mark.parametrize("base", BASES, ids=lambda base: type(base).__name__)
def test_every_base_broadcasts_events_and_contexts(base, batches):
    flow = flows.Flow(Elementwise(Affine(), net()), base, 3, 2)
    variables = jax.eval_shape(flow.init, KEY, jnp.zeros((2, 3)), jnp.zeros((2, 2)))
    for events, contexts in batches:

        def run(v, events=events, contexts=contexts):
            density = flow.bind(v).distribution(jnp.ones((*contexts, 2)))
            draws = density.sample_and_log_prob(seed=KEY, sample_shape=(6,))
            return density.log_prob(jnp.ones((*events, 3))), *draws

        log_prob, draws, of_draws = jax.eval_shape(run, variables)
        assert log_prob.shape == np.broadcast_shapes(events, contexts)
        assert draws.shape == (6, *contexts, 3) and of_draws.shape == (6, *contexts)


@pytest.mark.parametrize("recipe", ["realnvp", "bnaf"])
def test_broadcast_densities_are_those_of_pairs(recipe):
    flow = flows.make_flow(recipe, 3, layers=1, context_dim=2)
    x, context = jax.random.normal(KEY, (5, 3)), jax.random.normal(KEY, (4, 1, 2))

    variables = start(flow, x[:4], context[:, 0], spread=0.1)

    @jax.jit
    def run(variables):
        every = jnp.broadcast_to(x, (4, 5, 3)), jnp.broadcast_to(context, (4, 5, 2))
        return flow.apply(variables, x, context), flow.apply(variables, *every)

    together, pairs = run(variables)
    np.testing.assert_allclose(together, pairs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "x, context, sentence",
    [
        (np.zeros((3, 2)), np.zeros((4, 1)), r"\[3, 2\] and contexts \[4, 1\]"),
        (np.zeros((3, 2), complex), np.zeros(1), "complex64; give real numbers"),
        (np.zeros((3, 2)), 1.0, "contexts are one number without an axis"),
        (["a", "b"], np.zeros(1), "not an array of numbers"),
        (None, np.zeros(1), "not an array of numbers"),
    ],
)
def test_arrays_that_do_not_fit_get_a_sentence(x, context, sentence):
    flow = flows.nice(2, layers=1, hidden=(4,), context_dim=1)
    for run in flow.init_with_output, flow.apply:
        with pytest.raises(UserError, match=sentence):
            run(KEY if run == flow.init_with_output else {}, x, context)
