"""The energies' normalizers are correct, and their gradients finite."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nfml_jax.variational import ENERGIES


def log_integral(log_density, side, cells=1200):
    """log ∫ over |x₁|, |x₂| ≤ side, by the midpoint rule."""
    width = 2 * side / cells
    middle = -side + (np.arange(cells) + 0.5) * width
    grid = np.stack(np.meshgrid(middle, middle), -1).astype(np.float32)
    values = np.asarray(jax.jit(log_density)(grid), np.float64)
    return np.log(np.exp(values).sum() * width**2)


@pytest.mark.parametrize("name", ENERGIES)
def test_the_normalizers_agree_with_a_grid(name):
    energy = ENERGIES[name]
    plane = log_integral(energy.log_density, 12.0)
    box = log_integral(energy.log_density_box, 4.0)
    assert plane == pytest.approx(energy.log_z, abs=1e-5)
    assert box == pytest.approx(energy.log_z_box, abs=1e-5)


def test_the_second_energys_normalizers_have_a_closed_form():
    # Normal in x₂; in x₁ flat over the box, or with the penalty's tails.
    width = 0.4 * np.sqrt(2 * np.pi)
    assert ENERGIES["u2"].log_z_box == pytest.approx(np.log(8 * width), abs=1e-8)
    tails = np.sqrt(np.pi)
    assert ENERGIES["u2"].log_z == pytest.approx(np.log((12 + tails) * width), abs=1e-8)


@pytest.mark.parametrize("name", ENERGIES)
def test_gradients_are_finite_at_the_origin_and_at_large_distances(name):
    x = jnp.array([[0, 0], [1e-30, 0], [2, 0], [6, -6], [80, 300], [-1e4, 1e4]], float)
    energy = ENERGIES[name]
    value, gradient = jax.jit(jax.vmap(jax.value_and_grad(energy.log_density)))(x)
    assert np.isfinite(value).all() and np.isfinite(gradient).all()
    inside = jax.jit(energy.log_density_box)(x)
    np.testing.assert_array_equal(np.isfinite(inside), [1, 1, 1, 0, 0, 0])
    np.testing.assert_allclose(inside[:3], value[:3], rtol=1e-5)
