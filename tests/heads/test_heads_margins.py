"""Laws of every margin in the table, as functions of the target cosine alone."""

import dataclasses
import functools
import math

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nfml_jax.errors import UserError
from nfml_jax.heads import (
    MARGINS,
    ArcFace,
    CircleLoss,
    CombinedMargin,
    CosFace,
    SphereFace2,
)
from tests.heads.heads_reference import (
    CHOICES,
    VARIANTS,
    name_of,
    neutral,
    numbers_of,
    phi_of,
)
from tests.variants import check_variants, every_variant

every_margin = pytest.mark.parametrize("margin", VARIANTS, ids=name_of)
EDGES = [1.0, 1 - 6e-8, 1 - 1e-7, 1 + 1e-7, 1 + 1e-6, 0.0, math.cos(math.pi - 0.5)]
EDGES = np.array([*EDGES, *(-edge for edge in EDGES)])
# Strict laws leave out the flat ends of the cosine: cos θ is 1 up to θ = 1e-8.
THETA = np.linspace(1e-3, math.pi - 1e-3, 4001)


INSIDE = np.random.default_rng(0).uniform(-0.99, 0.99, THETA.size)
STEP = 1e-6
COSINES = {
    "edges": EDGES.astype(np.float32),
    "single": np.cos(THETA.astype(np.float32)),
    "double": np.cos(THETA),
    "inside": INSIDE,
    "above": INSIDE + STEP,
    "below": INSIDE - STEP,
}


@jax.jit
def every_curve(cosine):
    def curve(margin):
        phi, pull_back = jax.vjp(margin.target, cosine)
        return phi, pull_back(jnp.ones_like(phi))[0]

    return [curve(margin) for margin in VARIANTS]


@functools.cache
def curves(where):
    """Return φ and its slope at `COSINES[where]` for every margin.

    Arrays are as long as the longest, so that one program serves each precision.
    """
    cosine = COSINES[where]
    padded = np.resize(cosine, THETA.shape)
    with jax.enable_x64(cosine.dtype == np.float64):
        found = jax.device_get(every_curve(padded))
    found = jax.tree.map(lambda values: values[: cosine.size], found)
    return dict(zip(map(name_of, VARIANTS), found, strict=True))


def phi_at(where, margin):
    return curves(where)[name_of(margin)][0]


@every_margin
def test_value_and_slope_are_finite_at_the_edges(margin):
    phi, slope = curves("edges")[name_of(margin)]
    assert phi.dtype == jnp.float32
    assert np.isfinite(phi).all() and np.isfinite(slope).all()


@every_margin
def test_phi_equals_the_formula_of_the_paper(margin):
    phi = phi_at("double", margin)
    np.testing.assert_allclose(phi, phi_of(margin, THETA), atol=1e-10)
    single = phi_at("single", margin)
    near = np.abs(single - phi_of(margin, THETA)) < 1e-5
    # The others are at a jump, or too near π for the cosine in float32.
    assert near.mean() > 0.995


@every_margin
def test_phi_decreases_up_to_pi(margin):
    if getattr(margin, "beyond_pi", "") == "none":
        pytest.skip("documented to rise again past π - m")
    phi = phi_at("double", margin)
    if isinstance(margin, SphereFace2):
        phi = phi[THETA < 3]  # beyond, it is constant in float64
    fall = -np.diff(phi)
    if getattr(margin, "easy", False):
        # The published easy margin jumps up where the margin ends, at π/2.
        fall = np.delete(fall, np.argmin(fall))
        fall = fall[fall != 0] if margin.beyond_pi == "clamp" else fall
    if getattr(margin, "beyond_pi", "") == "clamp":
        assert (fall >= 0).all()
        assert phi[-1] == phi.min()
    else:
        assert (fall > 0).all()


@pytest.mark.parametrize("kind", [ArcFace, CombinedMargin])
def test_without_a_continuation_phi_rises_past_pi_minus_m(kind):
    margin = kind(beyond_pi="none")
    assert margin.target(-1.0) > margin.target(-0.98)


@every_margin
def test_phi_never_exceeds_the_cosine(margin):
    helped = phi_at("double", margin) > COSINES["double"] + 1e-12
    if getattr(margin, "beyond_pi", "") == "none":
        helped = helped[math.pi - 0.5 > THETA]
    assert not helped.any()


NEUTRAL = {name: kind for name, kind in MARGINS.items() if neutral(kind)}


@pytest.mark.parametrize("kind", NEUTRAL.values(), ids=NEUTRAL)
def test_a_neutral_margin_leaves_the_cosine(kind):
    cosine = jnp.cos(jnp.asarray(THETA, jnp.float32))
    np.testing.assert_allclose(neutral(kind).target(cosine), cosine, atol=1e-6)


@every_margin
def test_the_slope_is_exact_or_that_of_the_plain_cosine(margin):
    phi, slope = curves("inside")[name_of(margin)]
    if getattr(margin, "grad", "exact") == "detach":
        np.testing.assert_array_equal(slope, 1.0)
        exact = dataclasses.replace(margin, grad="exact")
        np.testing.assert_allclose(phi, phi_at("inside", exact), atol=1e-15)
    elif isinstance(margin, CircleLoss):
        weight = 1 + margin.margin - COSINES["inside"]
        np.testing.assert_allclose(slope, weight, rtol=1e-12)
    else:
        difference = phi_at("above", margin) - phi_at("below", margin)
        np.testing.assert_allclose(slope, difference / (2 * STEP), rtol=1e-5)


@functools.cache
def traced():
    """Return φ of every margin with vmapped numbers, from one program."""

    def phi(margin, numbers):
        target = dataclasses.replace(margin, **numbers).target
        return target(COSINES["double"])

    def every(numbers):
        pairs = zip(VARIANTS, numbers, strict=True)
        return [phi(margin, numbers) for margin, numbers in pairs]

    with jax.enable_x64(True):
        numbers = [
            {name: jnp.asarray([value], float) for name, value in numbers_of(m).items()}
            for m in VARIANTS
        ]
        mapped = jax.jit(jax.vmap(every))(numbers)
        return dict(zip(map(name_of, VARIANTS), jax.device_get(mapped), strict=True))


@every_margin
def test_a_traced_margin_equals_the_plain_one(margin):
    """Sweeps vmap over margins, so that their numbers are arrays."""
    (mapped,) = traced()[name_of(margin)]
    np.testing.assert_allclose(mapped, phi_at("double", margin), atol=1e-9)


@pytest.mark.parametrize("kind", [k for k in MARGINS.values() if numbers_of(k())])
@pytest.mark.parametrize("wrong", [-0.1, math.nan, math.inf, "0.5", None, 1j])
def test_a_number_outside_its_domain_raises_an_error(kind, wrong):
    name = next(iter(numbers_of(kind())))
    with pytest.raises(UserError, match=rf"{kind.__name__} got {name}=.*expected"):
        kind(**{name: wrong})


@pytest.mark.parametrize("kind", MARGINS.values(), ids=MARGINS)
def test_an_unknown_choice_raises_an_error(kind):
    for name in {field.name for field in dataclasses.fields(kind)} & set(CHOICES):
        if not isinstance(CHOICES[name], tuple) or False not in CHOICES[name]:
            with pytest.raises(UserError, match=f"{kind.__name__} got {name}='new'"):
                kind(**{name: "new"})


def test_errors_suggest_a_remedy():
    with pytest.raises(UserError, match=r"radians \(if 28.6 is in degrees, give 0.499"):
        ArcFace(28.6)
    with pytest.raises(UserError, match="an integer"):
        MARGINS["sphereface"](1.5)
    with pytest.raises(UserError, match=r"m2 of at least 1\.571"):
        CombinedMargin(0.5, 0.1, 0.0)


def placed(num_classes, embedding_size):
    """Return the largest cosine of class centers that are as far apart as possible."""
    if embedding_size == 2:
        turn = 2 * np.pi * np.arange(num_classes) / num_classes
        centers = np.stack([np.cos(turn), np.sin(turn)], axis=1)
    else:
        centers = np.eye(num_classes) - 1.0 / num_classes
        centers /= np.linalg.norm(centers, axis=1, keepdims=True)
    return (centers @ centers.T)[~np.eye(num_classes, dtype=bool)].max()


@pytest.mark.parametrize(("classes", "size"), [(3, 2), (10, 2), (100, 2), (10, 9)])
def test_feasibility_equals_the_limit_of_optimal_centers(classes, size):
    nearest = placed(classes, size)
    at = 1.0 - nearest
    assert CosFace(at - 1e-3).feasibility(classes, size) is None
    assert f"{at:.3f}" in CosFace(at + 1e-3).feasibility(classes, size)
    if (angle := math.acos(nearest)) < math.pi / 2 - 1e-3:
        assert ArcFace(angle - 1e-3).feasibility(classes, size) is None
        assert f"{angle:.3f}" in ArcFace(angle + 1e-3).feasibility(classes, size)


@every_margin
def test_every_margin_is_feasible_in_many_dimensions(margin):
    assert margin.feasibility(10, 64) is None
    assert type(margin)(**{k: jnp.asarray(v) for k, v in numbers_of(margin).items()})


def test_more_classes_than_directions_leave_less_room():
    assert CosFace(1.05).feasibility(4, 3) is None
    assert "below 1.000" in CosFace(1.05).feasibility(5, 3)


@pytest.mark.parametrize("kind", MARGINS.values(), ids=MARGINS)
def test_the_formula_shows_the_numbers(kind):
    margin = kind()
    for value in numbers_of(margin).values():
        assert f"{value:g}" in margin.formula()


class TestVariants(chex.TestCase):
    """Margins are pure functions: the same compiled, mapped and over devices."""

    @every_variant
    def test_target(self):
        cosine = jnp.linspace(-1.0, 1.0, 9)

        def targets(cosine):
            return {name: margin().target(cosine) for name, margin in MARGINS.items()}

        check_variants(self.variant, targets, jax.vmap(targets), cosine)
