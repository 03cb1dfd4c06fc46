"""A flow is a value, and its distributions are pytrees."""

import copy
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nfml_jax import flows
from nfml_jax.bijectors import Affine, Autoregressive, Chain, Coupling, Reverse
from nfml_jax.bijectors.catalogue import BIJECTORS
from nfml_jax.flows import bases, compiled
from nfml_jax.flows.recipes.stacked import BASES
from nfml_jax.nets.conditioners import MLP
from nfml_jax.nets.made import MADE

KEY = jax.random.key(0)


def made_twice():
    """Two equal modules by name: each recipe, recipe with each base, and bijector."""
    for name in flows.RECIPES:
        yield name, [flows.make_flow(name, 3, context_dim=2) for _ in range(2)]
    for base in BASES:
        yield base, [flows.nice(3, base=base) for _ in range(2)]
    for name, entry in BIJECTORS.items():
        yield name, [entry.make(True) for _ in range(2)]
    yield (
        "others",
        [
            Chain(
                [
                    Reverse(),
                    Coupling(Affine(), MLP(hidden=[8], activation=jnp.tanh)),
                    Autoregressive(Affine(), MADE(order=np.array([1, 0]))),
                    Autoregressive(Affine(), MADE(adjacency=np.eye(2, k=-1) > 0)),
                ]
            )
            for _ in range(2)
        ],
    )


@pytest.mark.parametrize("name, pair", list(made_twice()))
def test_equal_modules_have_equal_hashes_and_survive_pickle(name, pair):
    one, other = pair
    assert one == other and hash(one) == hash(other)
    for again in pickle.loads(pickle.dumps(one)), copy.deepcopy(one):
        assert again == one and hash(again) == hash(one)


SMALL = flows.maf(3, layers=2, hidden=(8,), context_dim=2)
X, CONTEXT = jax.random.normal(KEY, (5, 3)), jax.random.normal(KEY, (5, 2))


@pytest.fixture(scope="module")
def variables():
    def start(shift):
        return jax.tree.map(lambda p: p + shift, SMALL.init(KEY, X, CONTEXT))

    return jax.jit(start)(0.01), jax.jit(start)(0.1)


def test_a_flow_is_a_static_argument(variables):
    log_prob = jax.jit(lambda flow, v: flow.apply(v, X, CONTEXT), static_argnums=0)
    again = flows.maf(3, layers=2, hidden=(8,), context_dim=2)
    for flow in SMALL, again:
        expected = SMALL.apply(variables[0], X, CONTEXT)
        np.testing.assert_allclose(log_prob(flow, variables[0]), expected, rtol=1e-5)
    assert log_prob._cache_size() == 1


@pytest.mark.parametrize("kind", ["distrax", "numpyro"])
def test_distributions_pass_through_transformations(kind, variables):
    if kind == "numpyro":
        pytest.importorskip("numpyro")

    def make(v, context=CONTEXT):
        bound = SMALL.bind(v)
        return (
            flows.as_numpyro(bound, context)
            if kind == "numpyro"
            else bound.distribution(context)
        )

    expected = [SMALL.apply(v, X, CONTEXT) for v in variables]
    log_prob = jax.jit(lambda distribution, x: distribution.log_prob(x))
    for v, values in zip(variables, expected, strict=True):
        same = jax.tree.map(lambda leaf: leaf, make(v))
        assert same.batch_shape == (5,) and same.event_shape == (3,)
        for distribution in make(v), jax.jit(make)(v), same:
            np.testing.assert_allclose(log_prob(distribution, X), values, rtol=1e-5)
    assert log_prob._cache_size() == 1
    # Rows of a vmapped distribution have the contexts of single events.
    shapes = []

    def one(distribution, x):
        shapes.append((distribution.batch_shape, distribution.event_shape))
        return distribution.log_prob(x)

    rows = jax.vmap(make, (None, 0))(variables[0], CONTEXT)
    np.testing.assert_allclose(jax.vmap(one)(rows, X), expected[0], rtol=1e-5)
    assert shapes == [((), (3,))]
    both = jax.tree.map(lambda *leaves: jnp.stack(leaves), *map(make, variables))
    _, found = jax.lax.scan(lambda c, d: (c, d.log_prob(X)), 0, both)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_the_distribution_of_a_resampled_base_can_leave_jit():
    base = BASES["resampled"](2)
    variables = jax.jit(base.init)(KEY)
    distribution = jax.jit(base.apply)(variables)
    z = jnp.ones((4, 2))
    expected = jax.jit(lambda v: base.apply(v).log_prob(z))(variables)
    found = jax.jit(lambda d: d.log_prob(z))(distribution)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.fixture
def traces(monkeypatch):
    """The number of times that the small flow's base was called to be traced."""
    calls = []
    original = bases.Normal.__call__

    def counted(self, context=None):
        calls.append(1)
        return original(self, context)

    monkeypatch.setattr(bases.Normal, "__call__", counted)
    return calls


def test_the_second_call_traces_nothing(variables, traces):
    compiled._cached.cache_clear()
    bound = SMALL.bind(variables[0])
    calls = {
        "log_prob": [
            lambda v: SMALL.apply(v, X, CONTEXT),
            lambda v: SMALL.apply(v, np.asarray(X), context=np.asarray(CONTEXT)),
            lambda v: SMALL.apply(v, X.tolist(), CONTEXT, method="log_prob"),
            lambda v: SMALL.apply(v, X, CONTEXT, method=SMALL.log_prob),
            lambda v: SMALL.bind(v).log_prob(X, CONTEXT),
            lambda v: SMALL.bind(v).distribution(CONTEXT).log_prob(X),
            lambda v: bound(X, CONTEXT),
        ],
        "sample": [
            lambda v: SMALL.apply(v, KEY, 2, CONTEXT, method="sample"),
            lambda v: SMALL.apply(v, KEY, [np.int32(2)], CONTEXT, method="sample"),
            lambda v: bound.sample(KEY, (2,), CONTEXT),
            lambda v: bound.distribution(CONTEXT).sample(seed=KEY, sample_shape=2),
        ],
    }
    for same in calls.values():
        first = same[0](variables[0])
        before = len(traces)
        for call in same:
            np.testing.assert_allclose(call(variables[0]), first, rtol=1e-5)
        same[0](variables[1])
        # A shape as a number and as a tuple are two programs.
        assert len(traces) - before <= (1 if same is calls["sample"] else 0)


def test_compiled_calls_work_under_transformations(variables):
    def total(v):
        return SMALL.apply(v, X, CONTEXT).sum()

    expected = jax.jit(jax.grad(total))(variables[0])
    found = jax.grad(total)(variables[0])
    for one, other in zip(*map(jax.tree.leaves, (found, expected)), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
    rows = jax.vmap(lambda x, c: SMALL.apply(variables[0], x, c))(X, CONTEXT)
    np.testing.assert_allclose(rows, SMALL.apply(variables[0], X, CONTEXT), rtol=1e-5)


def test_mutable_collections_and_keys_pass_through_compiled_calls():
    flow = flows.maf(2, layers=1, hidden=(4,), normalize="batch", dropout=0.5)
    x = jax.random.normal(KEY, (16, 2)) + 3
    variables = jax.jit(flow.init)(KEY, x)
    for mutable in ["batch_stats"], "batch_stats", True:
        keys = {"dropout": jax.random.key(1)}
        found, updated = flow.apply(variables, x, rngs=keys, mutable=mutable)
        assert updated["batch_stats"] and found.shape == (16,)
    assert flow.apply(variables, x).shape == (16,)


def test_the_number_of_cached_programs_is_bounded():
    assert compiled._cached.cache_info().maxsize == compiled.PROGRAMS
