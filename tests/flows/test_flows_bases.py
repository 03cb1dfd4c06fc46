"""Draws of bases have the densities of the bases, with and without context."""

import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nfml_jax.bijectors import Reverse
from nfml_jax.errors import UserError
from nfml_jax.flows import bases
from nfml_jax.flows.flow import Flow
from nfml_jax.flows.numpyro import as_numpyro
from nfml_jax.flows.resampled import Resampled
from nfml_jax.nets.conditioners import MLP
from nfml_jax.nets.images import GlowNet
from nfml_jax.testing import perturb
from tests.slow import slow

DRAWS = 8192


def _net(conditional=True):
    return MLP(hidden=(4,)) if conditional else None


# Each by whether it follows the context, and the set that its events lie in.
BASES = {
    "normal": (lambda c: bases.Normal(2), "plane"),
    "learned_normal": (lambda c: bases.LearnedNormal(2, _net(c)), "plane"),
    "class_conditional": (lambda c: bases.ClassConditional(2, 3), "plane"),
    "uniform": (lambda c: bases.Uniform(2, -2.0, 3.0), "plane"),
    "logistic": (lambda c: bases.Logistic(2), "plane"),
    "student_t": (lambda c: bases.StudentT(2, 30.0, _net(c)), "plane"),
    "mixture": (lambda c: bases.GaussianMixture(2, 3, _net(c)), "plane"),
    "von_mises": (lambda c: bases.VonMises(2, _net(c)), "torus"),
    "von_mises_fisher": (lambda c: bases.VonMisesFisher(3, _net(c)), "sphere"),
    "uniform_sphere": (lambda c: bases.UniformSphere(3), "sphere"),
    "resampled": (lambda c: Resampled(2, _net(), None, 4, 2**16, 0.0), "plane"),
}
FOLLOW = "mixture", "von_mises", "learned_normal"


def grid(where):
    """Points that cover the set, and the area that each stands for."""
    one = (np.arange(200) + 0.5) / 200
    a, b = (v.ravel() for v in np.meshgrid(one, one))
    if where == "sphere":
        angle, height = 2 * np.pi * a, 2 * b - 1
        r = np.sqrt(1 - height**2)
        points = np.stack([r * np.cos(angle), r * np.sin(angle), height], -1)
        area = 4 * np.pi
    else:
        half = np.pi if where == "torus" else 10.0
        points, area = (2 * np.stack([a, b], -1) - 1) * half, 4 * half**2
    return np.float32(points), area / a.size


@pytest.mark.parametrize("name", BASES)
def test_densities_integrate_to_one_and_draws_follow_them(name):
    make, where = BASES[name]
    base, (points, area) = make(False), grid(where)

    @jax.jit
    def run(key):
        variables = base.init(key)
        moved = {**variables, "params": perturb(variables.get("params", {}), key, 0.5)}

        def at(params):
            given, rngs = {**moved, "params": params}, {"base": key}
            return base.apply(given, rngs=rngs, mutable=["acceptance"])[0]

        def score(params, weight):
            return (weight * at(params).log_prob(points)).sum()

        on_grid = at(moved["params"]).log_prob(points)
        weight = jnp.exp(on_grid) * area
        draws, log_prob = at(moved["params"]).sample_and_log_prob(
            seed=key, sample_shape=(DRAWS,)
        )
        again = at(moved["params"]).log_prob(draws)
        scores = jax.grad(score)(moved["params"], weight)
        return weight, scores, draws, log_prob, again

    weight, scores, draws, log_prob, again = run(jax.random.key(3))
    assert np.isfinite(again).all()
    np.testing.assert_allclose(log_prob, again, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(weight.sum(), 1, atol=1e-2)
    # The mean of a score is zero, as the density integrates to one for all parameters.
    for leaf in jax.tree.leaves(scores):
        np.testing.assert_allclose(leaf, 0, atol=2e-2)
    features = [np.sin, np.cos] if where == "torus" else [lambda v: v, np.square]
    for feature in features:
        expected = (weight[:, None] * feature(points)).sum(0)
        spread = feature(draws).std(0) / DRAWS**0.5
        gap = np.abs(feature(draws).mean(0) - expected)
        assert (gap < 5 * spread + 5e-3).all()


@pytest.mark.parametrize("name", FOLLOW)
def test_bases_depend_on_the_context(name):
    base = BASES[name][0](True)
    context = np.float32(np.random.default_rng(0).normal(size=(5, 2)))

    @jax.jit
    def run(key):
        variables = base.init(key, context)
        variables = {"params": perturb(variables["params"], key, 0.5)}
        distribution = base.apply(variables, context)
        draws = distribution.sample(seed=key, sample_shape=(3,))
        return draws, distribution.log_prob(draws[:, :1])

    draws, log_prob = run(jax.random.key(0))
    assert draws.shape == (3, 5, 2) and log_prob.shape == (3, 5)
    assert (np.ptp(log_prob, axis=1) > 1e-3).all()


SHAPE = 2, 3, 2
NUMBERS = "mean", "log_scale", "df"  # parameters of each number of an event
OF_IMAGES = {
    "normal": lambda **shape: bases.Normal(**shape),
    "learned_normal": lambda **shape: bases.LearnedNormal(**shape),
    "uniform": lambda **shape: bases.Uniform(**shape),
    "logistic": lambda **shape: bases.Logistic(**shape),
    "student_t": lambda **shape: bases.StudentT(**shape),
    "mixture": lambda **shape: bases.GaussianMixture(components=3, **shape),
    "class_conditional": lambda **shape: bases.ClassConditional(classes=3, **shape),
}


@pytest.mark.parametrize(
    "name", slow(OF_IMAGES, ["student_t", "mixture", "class_conditional"])
)
def test_bases_of_images_are_those_of_vectors(name):
    images, vectors = (
        OF_IMAGES[name](**shape)
        for shape in ({"event_shape": SHAPE}, {"event_dim": int(np.prod(SHAPE))})
    )

    @jax.jit
    def run(key):
        variables = images.init(key)
        params = perturb(variables.get("params", {}), key, 0.3)
        flat = {
            name: p.reshape(*p.shape[: p.ndim - 3], -1) if name in NUMBERS else p
            for name, p in params.items()
        }
        base, flat = images.apply({"params": params}), vectors.apply({"params": flat})
        draws, log_prob = base.sample_and_log_prob(seed=key, sample_shape=(5, 4))
        return draws, log_prob, flat.log_prob(draws.reshape(5, 4, -1))

    draws, log_prob, expected = run(jax.random.key(0))
    assert draws.shape == (5, 4, *SHAPE)
    np.testing.assert_allclose(log_prob, expected, rtol=1e-5)
    assert images.shape == SHAPE and vectors.shape == (12,)


# It is the base of vectors, above, with a network of images.
@pytest.mark.slow
def test_a_resampled_base_of_feature_maps_integrates_to_one():
    base = Resampled(
        event_shape=(1, 1, 2),
        net=GlowNet(hidden=4),
        truncation=4,
        samples=2**14,
        momentum=0.0,
    )
    points, area = grid("plane")

    @jax.jit
    def run(key):
        variables = base.init(key)
        variables = {**variables, "params": perturb(variables["params"], key, 0.5)}
        found, _ = base.apply(variables, rngs={"base": key}, mutable=["acceptance"])
        draws = found.sample(seed=key, sample_shape=(3,))
        return found.log_prob(points[:, None, None]), draws

    log_prob, draws = run(jax.random.key(1))
    assert draws.shape == (3, 1, 1, 2) and np.ptp(log_prob) > 1
    np.testing.assert_allclose(np.exp(log_prob).sum() * area, 1, atol=3e-2)
    wide = Resampled(event_shape=SHAPE, net=GlowNet(hidden=4))
    found = jax.eval_shape(lambda: wide.init_with_output(jax.random.key(0))[0])
    assert found.event_shape == SHAPE


def test_classes_are_inferred_by_their_own_densities():
    base = bases.ClassConditional(event_shape=SHAPE, classes=3)
    z = jnp.asarray(np.random.default_rng(0).normal(size=(4, *SHAPE)), jnp.float32)

    @jax.jit
    def run(key):
        variables = {"params": perturb(base.init(key)["params"], key, 0.5)}
        joint = base.apply(variables, z, method="class_log_probs")
        given = jnp.stack(
            [base.apply(variables, jnp.eye(3)[k]).log_prob(z) for k in range(3)], -1
        )
        every = base.apply(variables, jnp.eye(3)[jnp.array([0, 1, 2, 0])]).log_prob(z)
        prior = jax.nn.log_softmax(variables["params"]["logits"])
        return joint, given, every, prior, base.apply(variables).log_prob(z)

    joint, given, every, prior, marginal = run(jax.random.key(0))
    np.testing.assert_allclose(joint, given + prior, rtol=1e-5)
    np.testing.assert_allclose(every, given[np.arange(4), [0, 1, 2, 0]], rtol=1e-5)
    np.testing.assert_allclose(marginal, jax.nn.logsumexp(joint, -1), rtol=1e-5)
    with pytest.raises(UserError, match=r"expected \[\.\.\., 3\], one-hot"):
        base.init(jax.random.key(0), jnp.ones((4, 5)))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({}, "event_dim=0; expected an integer"),
        ({"event_dim": 2, "event_shape": (2, 2, 1)}, "give one of them"),
        ({"event_shape": (2, 0, 1)}, "event_shape"),
    ],
)
def test_a_shape_that_no_event_has_is_a_sentence(options, sentence):
    with pytest.raises(UserError, match=sentence):
        bases.Normal(**options)
    with pytest.raises(UserError, match="a distribution of vectors"):
        bases.UniformSphere(event_shape=SHAPE)


def test_acceptance_is_a_running_mean_and_draws_are_truncated():
    # A net that keeps nothing: only the last draw, the proposal's, is ever taken.
    base = Resampled(1, _net(), truncation=3, momentum=0.5)

    @jax.jit
    def run(key):
        variables = base.init(key, None)
        params = jax.tree.map(jnp.zeros_like, variables["params"])
        params["net"]["out"]["bias"] -= 20
        variables = {**variables, "params": params}
        _, updated = base.apply(variables, rngs={"base": key}, mutable=["acceptance"])
        still = base.apply(variables)
        x = jnp.linspace(-2, 2, 5)[:, None]
        variables |= {"acceptance": {"rate": jax.nn.sigmoid(-20.0)}}
        never = base.apply(variables)
        draws = never.sample(seed=key, sample_shape=(2048,))
        normal = jax.scipy.stats.norm.logpdf(x[:, 0])
        gradient = jax.grad(
            lambda v: base.apply(v).sample(seed=key, sample_shape=(4,)).sum()
        )(variables)
        return updated, still.log_prob(x), never.log_prob(x), normal, draws, gradient

    updated, _, log_prob, normal, draws, gradient = run(jax.random.key(0))
    np.testing.assert_allclose(updated["acceptance"]["rate"], 0.25, rtol=1e-5)
    np.testing.assert_allclose(log_prob, normal, atol=1e-4)
    np.testing.assert_allclose(draws.std(), 1, atol=0.1)
    assert not any(g.any() for g in jax.tree.leaves(gradient))


# tests/flows/test_flows_numpyro.py draws from flows as numpyro does.
@pytest.mark.slow
def test_a_flow_is_a_numpyro_distribution():
    numpyro = pytest.importorskip("numpyro")
    flow = Flow(Reverse(), bases.GaussianMixture(2, 3, _net()), 2, context_dim=1)
    context = np.ones((4, 1), np.float32)
    x = np.zeros((4, 2), np.float32)
    variables = flow.init(jax.random.key(0), x, context)

    def model(observed=None):
        density = as_numpyro(flow.bind(variables), context)
        with numpyro.plate("events", 4):
            return numpyro.sample("x", density, obs=observed)

    @jax.jit
    def run(key):
        drawn = numpyro.handlers.seed(model, key)()
        log_joint, _ = numpyro.infer.util.log_density(model, (drawn,), {}, {})
        return drawn, log_joint, flow.apply(variables, drawn, context).sum()

    drawn, log_joint, expected = run(jax.random.key(1))
    assert drawn.shape == (4, 2)
    np.testing.assert_allclose(log_joint, expected, rtol=1e-5)


def test_a_missing_numpyro_raises_one_sentence(monkeypatch):
    module = "nfml_jax.flows.numpyro_distribution"
    monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.setitem(sys.modules, "numpyro.distributions", None)
    with pytest.raises(UserError, match="pip install numpyro"):
        as_numpyro(None)
