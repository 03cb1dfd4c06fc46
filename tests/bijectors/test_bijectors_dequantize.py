"""Dequantization: draws stay within their level, and terms are those of a bound."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nfml_jax.bijectors import (
    Affine,
    Coupling,
    Dequantize,
    Elementwise,
    Pad,
    PixelSigmoid,
)
from nfml_jax.bijectors.dequantize import noise_cells
from nfml_jax.errors import UserError
from nfml_jax.flows import learned_noise
from nfml_jax.nets.conditioners import MLP

LEVELS = (2, 3, 17, 255, 256, 4081, 65535, 65536)
KEY = jax.random.key(0)


def cell_ends(levels):
    """Every level with the first and the last noise within it, and the middle."""
    cells = noise_cells(levels)
    noise = (np.array([1, cells + 1, 2 * cells - 1]) * (0.5 / cells)).astype(np.float32)
    x = np.arange(levels, dtype=np.float32)[:, None]
    return x, ((x + noise) / np.float32(levels)).astype(np.float32)


@pytest.mark.parametrize("levels", LEVELS)
def test_levels_come_back_from_draws_and_through_the_logit(levels):
    """Noise u has 16 bits in a float32 of 255 + u, and 8 in one of 65,535 + u."""
    x, y = cell_ends(levels)
    assert y.max() < 1 and y.min() > 0
    maps = [(lambda y: y)]
    for alpha in (1e-6, 0.05):
        t, raw = PixelSigmoid(alpha), jnp.zeros(0)
        maps.append(
            lambda y, t=t, raw=raw: t.forward_and_log_det(
                raw, t.inverse_and_log_det(raw, y)[0]
            )[0]
        )
    for map_ in maps:
        back, _ = Dequantize(levels=levels, event_ndim=1).apply(
            {}, map_(y), method="forward_and_log_det"
        )
        np.testing.assert_array_equal(back, np.broadcast_to(x, y.shape))


@pytest.mark.parametrize("noise", [None, Elementwise(Affine(), MLP(hidden=(4,)))])
def test_draws_lie_inside_their_level(noise):
    x = np.random.default_rng(0).integers(0, 256, (50, 40)).astype(np.uint8)
    x[:10] = 255
    dequantize = Dequantize(event_ndim=1, noise=noise)
    variables = dequantize.init(KEY, x, key=KEY)
    large = jax.tree.map(lambda p: 20 * jnp.ones_like(p), variables)
    for v in (variables, large):
        y, term = dequantize.apply(v, x, key=KEY)
        assert y.dtype == term.dtype == jnp.float32 and term.shape == (50,)
        assert (np.floor(y * 256) == x).all() and y.max() < 1
        levels, opposite = dequantize.apply(v, y, method="forward_and_log_det")
        np.testing.assert_array_equal(levels, x)
        assert opposite.shape == (50,)


def test_uniform_noise_is_uniform_and_costs_the_levels():
    x = np.full((1000, 100), 255)
    y, term = Dequantize(event_ndim=1).apply({}, x, key=KEY)
    u = np.asarray(y, float) * 256 - 255
    np.testing.assert_allclose(term, -100 * np.log(256), rtol=1e-6)
    assert abs(u.mean() - 0.5) < 0.005 and abs((u < 0.1).mean() - 0.1) < 0.005
    steps = u * 2 * noise_cells(256)
    np.testing.assert_array_equal(steps, np.round(steps))
    assert (np.round(steps) % 2 == 1).all()


def test_the_axes_of_an_event_are_its_own():
    x = np.random.default_rng(0).integers(0, 4, (2, 3, 4, 5, 2))
    y, term = Dequantize(levels=4).apply({}, x, key=KEY)
    assert y.shape == x.shape and term.shape == (2, 3)
    np.testing.assert_allclose(term, -40 * np.log(4), rtol=1e-6)


def test_learned_noise_starts_uniform_and_is_a_density_of_each_level():
    noise = Elementwise(Affine(), MLP(hidden=(4,)))
    dequantize = Dequantize(levels=4, event_ndim=1, noise=noise)
    x = jnp.arange(4.0)[:, None]
    context = jnp.ones((1, 2))
    variables = dequantize.init(KEY, x, context, key=KEY)
    _, term = dequantize.apply(variables, x, context, key=KEY)
    np.testing.assert_allclose(term, -np.log(4), atol=1e-4)
    rng = np.random.default_rng(1)
    variables = jax.tree.map(lambda p: 0.4 * rng.normal(size=p.shape), variables)

    y, term = dequantize.apply(variables, x, context, key=KEY)
    _, opposite = dequantize.apply(variables, y, context, method="forward_and_log_det")
    np.testing.assert_allclose(term, -opposite, atol=1e-3)
    # The density of u given x, -term - log K, has the integral one over a level.
    u = (np.arange(4000) + 0.5) / 4000
    grid = ((np.arange(4)[:, None] + u) / 4).reshape(-1, 1).astype(np.float32)
    _, opposite = dequantize.apply(
        variables, grid, context, method="forward_and_log_det"
    )
    density = np.exp(np.asarray(opposite).reshape(4, -1) - np.log(4))
    np.testing.assert_allclose(density.mean(1), 1, atol=2e-3)


def test_noise_of_a_greater_image_bounds_the_image_s_own_probability():
    """Under a model of uniform numbers the mean of exp(term) is K to the power -D."""
    border = Pad(rows=1, columns=1, noise="uniform")
    noise = learned_noise(steps=1, hidden=2)
    dequantize = Dequantize(levels=4, noise=noise, border=border)
    x = jnp.array([0, 3]).reshape(2, 1, 1, 1)
    rng = np.random.default_rng(0)
    variables = jax.tree.map(
        lambda p: 0.2 * rng.normal(size=p.shape),
        jax.jit(dequantize.init)(KEY, x, key=KEY),
    )
    keys = jax.random.split(KEY, (5000, 2))
    y, term = jax.jit(dequantize.apply)(
        variables, jnp.tile(x, (5000, 1, 1, 1, 1)), key=keys
    )
    assert y.shape == (5000, 2, 1, 1, 1) and (jnp.floor(4 * y) == x).all()
    assert term.std(0).min() > 0.05
    np.testing.assert_allclose(jnp.exp(term).mean(0), 1 / 4, rtol=0.03)
    back = dequantize.apply(variables, y[0], key=KEY, method="forward")
    np.testing.assert_array_equal(back, x)
    with pytest.raises(UserError, match=r"border\.noise='normal'; expected uniform"):
        Dequantize(noise=noise, border=Pad(rows=1))


# The laws of bijectors have the gradients of couplings.
@pytest.mark.slow
def test_noise_of_a_coupling_has_finite_gradients():
    dequantize = Dequantize(event_ndim=1, noise=Coupling(Affine(), MLP(hidden=(4,))))
    x = np.array([[0, 255, 7, 9]], np.uint8)
    variables = dequantize.init(KEY, x, key=KEY)

    def loss(variables):
        y, term = dequantize.apply(variables, x, key=KEY)
        return term.sum() + (y**2).sum()

    gradients = jax.tree.leaves(jax.jit(jax.grad(loss))(variables))
    assert all(np.isfinite(g).all() for g in gradients)
    assert any(np.abs(g).max() > 0 for g in gradients)


def test_numbers_that_are_no_levels_have_no_probability():
    x = jnp.array([[0.0, 16.0], [0.5, 1.0], [17.0, 0.0], [-1.0, 0.0], [jnp.nan, 0.0]])
    dequantize = Dequantize(levels=17, event_ndim=1)
    _, term = dequantize.apply({}, x, key=KEY)
    np.testing.assert_allclose(term[0], -2 * np.log(17), rtol=1e-6)
    assert (term[1:4] == -jnp.inf).all() and jnp.isnan(term[4])
    assert not dequantize.exact
    with pytest.raises(UserError, match="pass key=KEY"):
        dequantize.apply({}, x)
    with pytest.raises(UserError, match=r"levels=1; expected an integer in \[2, 65536"):
        Dequantize(levels=1)


def test_float64_keeps_more_of_the_noise():
    with jax.enable_x64(True):
        x = np.full((100, 10), 65535)
        y, _ = Dequantize(levels=65536, event_ndim=1).apply(
            {}, x.astype(float), key=KEY
        )
        assert y.dtype == np.float64 and len(np.unique(y)) > 900
        assert (np.floor(y * 65536) == x).all()
