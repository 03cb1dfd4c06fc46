"""Distances in float32 equal float64 where squares overflow, vanish or cancel."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nfml_jax.ops.distances import distances, power_of_two, squared_distances, unit

SCALES = (1e-30, 1e-20, 1e-8, 1.0, 1e8, 1e18, 1e20)
RNG = np.random.default_rng(0)
POINTS, WEIGHTS = RNG.normal(size=(6, 4)), RNG.normal(size=(6, 6))


@functools.cache
def program(function):
    def total(points, weights):
        values = function(points, points)
        return jnp.sum(weights * values), values

    return jax.jit(jax.value_and_grad(total, has_aux=True))


def check(function, points, scale=1.0, tolerance=2e-5):
    """Compare values and gradient of `points`, in float32, with float64's."""
    x = np.float32(points)
    (_, values), gradient = program(function)(x, np.float32(WEIGHTS / scale))
    apart = np.float64(x)[:, None] - np.float64(x)
    lengths = np.linalg.norm(apart, axis=-1)
    safe = np.where(lengths > 0, lengths, 1)[..., None]
    slope = apart / safe if function is distances else 2 * apart
    expected = lengths if function is distances else lengths**2
    np.testing.assert_allclose(values, expected, rtol=tolerance)
    weights = np.float64(np.float32(WEIGHTS / scale))
    of_pairs = (weights + weights.T)[..., None] * slope
    largest = np.abs(of_pairs).max()
    error = np.abs(gradient - of_pairs.sum(axis=1)).max()
    assert np.isfinite(gradient).all() and error <= 10 * tolerance * largest


@pytest.mark.parametrize("scale", SCALES)
def test_distances_of_any_size_equal_float64(scale):
    check(distances, POINTS * scale)
    if 1e-8 <= scale <= 1e18:  # float32 holds their squares
        check(squared_distances, POINTS * scale, scale)


@pytest.mark.parametrize("function", [distances, squared_distances])
def test_a_common_part_and_far_clusters_lose_no_digits(function):
    check(function, POINTS + 1000.0)
    check(function, POINTS + np.where(np.arange(6) < 3, -1e5, 1e5)[:, None])
    check(function, np.repeat(POINTS[:3], 2, axis=0))  # equal points
    check(function, 0.0 * POINTS)


def test_one_huge_point_does_not_change_other_distances():
    check(distances, np.where(np.arange(6)[:, None] == 0, 1e20, 1.0) * POINTS)


def test_near_pairs_that_do_not_matter_are_at_distance_zero():
    x = np.float32(POINTS)
    values = jax.jit(distances)(x, x, ~np.eye(6, dtype=bool))
    np.testing.assert_array_equal(np.diag(values), 0.0)
    np.testing.assert_array_equal(values, program(distances)(x, x[:, :1])[0][1])


def test_nan_stays_nan():
    values = jax.jit(distances)(np.float32([[np.nan, 0.0]]), np.float32([[0.0, 0.0]]))
    assert np.isnan(values).all()


def test_powers_of_two_are_exact_and_their_inverses_normal():
    sizes = np.float32([0, 1e-45, 1e-30, 0.3, 1, 1.6, 3e38])
    power = np.asarray(power_of_two(sizes))
    assert (np.frexp(power)[0] == 0.5).all() and power[0] == 1
    assert (1 / power >= np.finfo(np.float32).tiny).all()
    ratio = sizes[2:] / power[2:]
    assert (ratio > 0.5).all() and (ratio < 20).all()


@pytest.mark.parametrize("scale", SCALES)
def test_unit_vectors_have_length_one_at_any_size(scale):
    expected = POINTS / np.linalg.norm(POINTS, axis=1, keepdims=True)
    np.testing.assert_allclose(unit(np.float32(POINTS * scale)), expected, rtol=1e-5)
