"""Flows as numpyro distributions: their support, and draws of NUTS within it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nfml_jax import bijectors as b
from nfml_jax.flows import Flow, bases, recipes
from nfml_jax.flows.numpyro import as_numpyro
from nfml_jax.nets.made import MADE
from tests.slow import slow

numpyro = pytest.importorskip("numpyro")
KEY = jax.random.key(0)


def bounded(transform):
    return b.Chain((b.Elementwise(b.Affine()), b.Elementwise(transform)))


def flow_of(bijector, base=None):
    return Flow(bijector, base or bases.Normal(2), 2)


def distribution(flow, shift=0.3):
    variables = flow.init(KEY, jnp.full((1, flow.event_dim), 0.5))
    variables = jax.tree.map(lambda p: p + shift, variables)
    return as_numpyro(flow.bind(variables))


SUPPORTS = {
    "interval": (flow_of(bounded(b.Sigmoid(-1.0, 3.0))), [-0.9, 2.9], [-1.1, 0.0]),
    "positive": (flow_of(bounded(b.Exp())), [0.1, 1e4], [1.0, -0.1]),
    "inverse": (flow_of(b.Inverse(bounded(b.Logit()))), [0.0, 1e3], None),
    "half of the coordinates": (
        flow_of(b.Coupling(b.Sigmoid())),
        [-5.0, 0.5],
        [0.5, -5.0],
    ),
    "bounded base": (
        flow_of(b.Elementwise(b.Affine()), bases.Uniform(2, -1.0, 1.0)),
        [0.3, 0.3],
        [0.3, 9.0],
    ),
}


@pytest.mark.parametrize("name", slow(SUPPORTS, ["bounded base", "positive"]))
def test_the_support_is_the_image(name):
    flow, inside, outside = SUPPORTS[name]
    density = distribution(flow)
    transform = numpyro.distributions.transforms.biject_to(density.support)
    free = 2 * jax.random.normal(KEY, (50, 2))

    @jax.jit
    def run(density, free):
        x, between = transform.call_with_intermediates(free)
        change = transform.log_abs_det_jacobian(free, x, between)
        return density.support(x), change, density.log_prob(x), transform.inv(x)

    within, change, log_prob, back = run(density, free)
    assert within.all() and jnp.isfinite(change + log_prob).all()
    np.testing.assert_allclose(back, free, atol=2e-2)
    if outside is not None:
        assert density.support(jnp.array([inside, outside])).tolist() == [True, False]
    assert not density.support(jnp.full(2, jnp.nan))
    feasible = density.support.feasible_like(jnp.zeros((3, 2)))
    assert feasible.shape == (3, 2) and density.support(feasible).all()


def test_a_bounded_flow_has_the_density_of_its_base_where_numbers_are_free():
    flow = SUPPORTS["half of the coordinates"][0]
    density = distribution(flow)
    transform = numpyro.distributions.transforms.biject_to(density.support)
    free = jax.random.normal(KEY, (50, 2))
    x, change = transform.call_with_intermediates(free)
    expected = jax.scipy.stats.norm.logpdf(free).sum(-1)
    np.testing.assert_allclose(density.log_prob(x) + change, expected, atol=1e-4)


def test_flows_onto_everything_circles_and_spheres_have_constraints_of_numpyro():
    constraints = numpyro.distributions.constraints
    line = as_numpyro(recipes.maf(2).bind({}))
    assert line.support == constraints.real_vector
    torus = as_numpyro(recipes.circular_nsf(2).bind({}))
    assert torus.support(jnp.array([[3.0, -3.0], [3.0, 4.0]])).tolist() == [True, False]
    uniform = bases.Uniform(2, -1.0, 1.0)
    resampled = Flow(
        bounded(b.Tanh()), recipes.BASES["resampled"](2, proposal=uniform), 2
    )
    assert as_numpyro(resampled.bind({})).support.interval == (-1.0, 1.0)
    sphere = Flow(b.Sphere(), bases.UniformSphere(3), 3).bind({})
    assert as_numpyro(sphere).support is constraints.sphere


def draws_of_nuts(model, count):
    kernel = numpyro.infer.NUTS(model)
    mcmc = numpyro.infer.MCMC(
        kernel, num_warmup=200, num_samples=count, progress_bar=False
    )
    mcmc.run(KEY)
    return np.asarray(mcmc.get_samples()["x"], np.float64)


# The support and the density that NUTS draws from are tested above.
@pytest.mark.slow
def test_draws_of_nuts_stay_in_the_interval_and_have_the_moments():
    # exp(s) = 2 and t = -1: logit((x + 1) / 4) is normal, and most of x is near an end.
    flow = flow_of(bounded(b.Sigmoid(-1.0, 3.0)))
    variables = flow.init(KEY, jnp.zeros((1, 2)))
    raw = jnp.array([[5 * np.arctanh(np.log(2.0) / 5), -1.0]] * 2)
    variables = jax.tree.map(lambda _: raw, variables)
    density = as_numpyro(flow.bind(variables))
    x = draws_of_nuts(lambda: numpyro.sample("x", density), 1000)
    assert x.min() > -1 and x.max() < 3 and x.shape == (1000, 2)
    free = np.log((x + 1) / (3 - x))
    np.testing.assert_allclose(free.mean(0), -1, atol=0.3)
    np.testing.assert_allclose(free.std(0), 2, rtol=0.15)


@pytest.mark.slow
def test_nuts_on_half_bounded_coordinates_and_a_likelihood():
    made = b.Autoregressive(b.Affine(), MADE(hidden=(4,)))
    flow = flow_of(b.Chain((made, b.Coupling(b.Softplus()))))
    density = distribution(flow, 0.1)

    def model():
        x = numpyro.sample("x", density)
        numpyro.sample("y", numpyro.distributions.Normal(x.sum(), 0.5), obs=1.0)

    x = draws_of_nuts(model, 3000)
    assert (x[:, 1] > 0).all() and x[:, 0].min() < 0
    # Importance sampling from the prior.
    prior = np.asarray(density.sample(KEY, (100_000,)), np.float64)
    weights = np.exp(-((1 - prior.sum(1)) ** 2) / 0.5)
    weights /= weights.sum()
    mean = weights @ prior
    spread = np.sqrt(weights @ (prior - mean) ** 2)
    np.testing.assert_allclose(x.mean(0), mean, atol=0.12)
    np.testing.assert_allclose(x.std(0), spread, rtol=0.1)
