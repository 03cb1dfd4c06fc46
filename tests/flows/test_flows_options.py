"""Invalid options raise one sentence where a flow is made."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nfml_jax import bijectors, flows
from nfml_jax.bijectors import BIJECTORS, Affine, Reverse
from nfml_jax.bijectors.transforms import DOMAIN_MAPS, TRANSFORMS
from nfml_jax.errors import UserError
from nfml_jax.flows import bases
from nfml_jax.flows.recipes import option_names
from nfml_jax.flows.resampled import Resampled
from nfml_jax.nets import conditioners, lipschitz, made
from nfml_jax.nets.images import MaskedConvs, PixelCNN

# What is no size, and most are nothing else either.
WRONG = [0, -1, 1.5, True, "a", "", None, (), [1.5], {}, np.zeros(3), jnp.zeros(2)]
WRONG += [float("nan"), float("inf"), 10**12, 10**400, object(), lambda: 0]

# Options that are sizes or counts, and the wrong values that they do take.
SIZES = {
    "layers": [],
    "hidden": [(), [1.5]],
    "blocks": [0],
    "bins": [],
    "components": [],
    "units": [],
    "depth": [0],
    "nodes": [],
    "squares": [],
    "degree": [0],
    "reflections": [None],
    "rank": [None],
    "context_dim": [0],
}


@pytest.mark.parametrize("recipe", flows.RECIPES)
def test_recipes_reject_invalid_options_with_one_sentence(recipe):
    for option in ["event_dim", *option_names(flows.RECIPES[recipe])]:
        for wrong in WRONG:
            options = {"event_dim": 3, "layers": 2, option: wrong}
            try:
                flows.make_flow(recipe, **options)
            except UserError:
                continue
            if option in SIZES:
                assert any(wrong is v or wrong == v for v in SIZES[option]), option


NET = conditioners.MLP(hidden=(4,))
# Modules and transforms, with the arguments that they need.
MADE_OF = {
    bijectors.Coupling: {"transform": Affine()},
    bijectors.Elementwise: {"transform": Affine()},
    bijectors.Autoregressive: {"transform": Affine(), "conditioner": made.MADE()},
    bijectors.Chain: {"bijectors": [Reverse()]},
    bijectors.Inverse: {"bijector": Reverse()},
    bijectors.Stack: {"layer": Reverse(), "length": 2},
    bijectors.Continuous: {"net": NET},
    bijectors.OnCircles: {"net": NET},
    flows.Flow: {"bijector": Reverse(), "base": bases.Normal(3), "event_dim": 3},
}
for kind in (
    *TRANSFORMS.values(),
    *DOMAIN_MAPS.values(),
    *(bijectors.TruncatedSeries, bijectors.Roulette),
    *(bijectors.BlockAutoregressive, bijectors.Householder, bijectors.Sylvester),
    *(bijectors.LU, bijectors.QR, bijectors.SVD, bijectors.LowRank),
    *(bijectors.MatrixExponential, bijectors.Residual, bijectors.BatchNormalization),
    *(bijectors.Permutation, bijectors.Sphere, lipschitz.LipschitzMLP),
    *(conditioners.MLP, conditioners.ResidualNet, made.MADE, made.ResMADE),
    *(MaskedConvs, PixelCNN),
):
    MADE_OF[kind] = {}
for kind in (
    *(bases.Normal, bases.Logistic, bases.Uniform, bases.StudentT),
    bases.GaussianMixture,
    *(bases.VonMises, bases.VonMisesFisher, bases.UniformSphere, Resampled),
):
    MADE_OF[kind] = {"event_dim": 3}
# Fields that nothing checks: of Flax, and those that are checked where they are used.
OPEN = {"parent", "name", "dtype", "axis_name", "conditioner"}


@pytest.mark.parametrize("kind", MADE_OF, ids=lambda kind: kind.__name__)
def test_modules_reject_invalid_fields_with_one_sentence(kind):
    for field in dataclasses.fields(kind):
        if field.name in OPEN:
            continue
        refused = 0
        for wrong in WRONG:
            try:
                kind(**{**MADE_OF[kind], field.name: wrong})
            except UserError:
                refused += 1
        assert refused > len(WRONG) / 2, field.name


def test_numpy_numbers_equal_python_numbers():
    flow = flows.rq_nsf(
        np.int64(3), layers=np.int32(2), hidden=np.uint8(8), bound=np.float32(2.0)
    )
    assert flow == flows.rq_nsf(3, layers=2, hidden=8, bound=2.0)
    hidden = flows.maf(3, hidden=[np.int64(8)] * 2), flows.maf(3, hidden=np.full(2, 8))
    assert hidden[0] == hidden[1] == flows.maf(3, hidden=(8, 8))


def test_sizes_of_numpy_make_the_same_maps():
    modules = [entry.make(True) for entry in BIJECTORS.values()]
    families = [kind() for kind in (*TRANSFORMS.values(), *DOMAIN_MAPS.values())]
    sizes = 0
    for one in modules + families:
        for field in dataclasses.fields(one):
            value = getattr(one, field.name)
            if type(value) is int:
                other = dataclasses.replace(one, **{field.name: np.int64(value)})
                assert other == one and hash(other) == hash(one)
                sizes += 1
    assert sizes > 20


@pytest.mark.parametrize(
    "make, sentence",
    [
        (lambda: flows.maf(3, hidden=64), "hidden=64; expected a tuple"),
        (lambda: flows.maf(3, layers=0), "layers=0; expected an integer in"),
        (lambda: bijectors.Permutation((0, 0, 1)), "from 0 to 2 once"),
        (lambda: bijectors.Coupling(Affine), "transform=.*, such as Affine()"),
        (lambda: bijectors.MonotoneNetwork(nodes=4), "nodes=4; expected an odd"),
        (lambda: bijectors.RationalQuadratic(min_slope=1.3), "min_slope=1.3"),
        (lambda: bijectors.Rescale(source=(1.0, 0.0)), "the lower one first"),
        (lambda: made.MADE(adjacency=[[0, 2], [0, 0]]), "a matrix of booleans"),
        (
            lambda: flows.Flow(Reverse(), bases.Normal(2), 3),
            "event_dim=3; expected the event_dim of the base, 2",
        ),
    ],
)
def test_sentences_contain_option_value_and_expectation(make, sentence):
    with pytest.raises(UserError, match=sentence):
        make()


@pytest.mark.parametrize(
    "bijector, sentence",
    [
        (bijectors.Permutation((0, 1)), "from 0 to 2 once"),
        (bijectors.Coupling(Affine()), "conditioner=None; expected a Flax module"),
        (bijectors.Planar(conditioner=3), "conditioner=3; expected a Flax module"),
        (
            bijectors.Coupling(Affine(), mask=lambda size: np.arange(size)),
            "expected as many booleans",
        ),
    ],
)
def test_sizes_that_do_not_fit_raise_one_sentence_at_the_first_call(bijector, sentence):
    with pytest.raises(UserError, match=sentence):
        bijector.init(jax.random.key(0), jnp.zeros((2, 3)))


@pytest.mark.parametrize("name", TRANSFORMS)
def test_transforms_reject_a_wrong_number_of_parameters(name):
    transform = TRANSFORMS[name]()
    for more in -1, 1:
        for method in transform.forward_and_log_det, transform.inverse_and_log_det:
            with pytest.raises(UserError, match="on the last axis"):
                raw = jnp.zeros((2, transform.num_params + more))
                jax.eval_shape(method, raw, jnp.zeros(2))
