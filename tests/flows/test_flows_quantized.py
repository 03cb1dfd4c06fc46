"""Probabilities of levels: bounds of the exact one, over draws and over all levels."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import logit, ndtr

from nfml_jax.bijectors import (
    Affine,
    Chain,
    Dequantize,
    Elementwise,
    PixelSigmoid,
    Reverse,
)
from nfml_jax.evaluation.measured_bits import measure
from nfml_jax.flows import Flow, Quantized
from nfml_jax.flows.bases import LearnedNormal, Normal
from nfml_jax.nets.conditioners import MLP

KEY = jax.random.key(0)


# tests/evaluation shows the same of bits per dimension.
@pytest.mark.slow
def test_more_draws_come_closer_to_the_exact_probability():
    """The density of y = (x + u) / 4 is normal, so its probabilities are known."""
    model = Quantized(Flow(Reverse(), Normal(1), 1), Dequantize(levels=4, event_ndim=1))
    x = np.arange(4).reshape(4, 1)
    exact = np.log(np.diff(ndtr(np.arange(5) / 4)))
    variables = jax.jit(model.init)(KEY, x, KEY)

    @partial(jax.jit, static_argnames="samples")
    def log_prob(x, samples):
        return model.apply(variables, x, KEY, samples=samples)

    found = {m: log_prob(x, m) for m in (1, 500)}
    np.testing.assert_allclose(found[500], exact, atol=5e-3)
    assert np.abs(found[500] - exact).max() < np.abs(found[1] - exact).max()
    terms = jax.jit(partial(model.apply, method="terms"))(variables, x, KEY)
    np.testing.assert_allclose(sum(terms.values()), found[1], rtol=1e-6)
    assert not model.exact
    bad = log_prob(np.array([[4.0], [np.nan]]), 3)
    assert bad[0] == -np.inf and np.isnan(bad[1])


def test_probabilities_of_all_levels_add_up_to_one_and_samples_follow_them():
    bijector = Chain([Elementwise(Affine()), Elementwise(PixelSigmoid(0.0))])
    noise = Elementwise(Affine(), MLP(hidden=(4,)))
    model = Quantized(
        Flow(bijector, LearnedNormal(1), 1),
        Dequantize(levels=5, event_ndim=1, noise=noise),
    )
    x = np.arange(5).reshape(5, 1)
    shapes = jax.eval_shape(lambda: model.init(KEY, x, KEY))
    rng = np.random.default_rng(1)
    variables = jax.tree.map(lambda p: 0.3 * rng.normal(size=p.shape), shapes)
    log_prob = jax.jit(partial(model.apply, samples=2000))(variables, x, KEY)
    np.testing.assert_allclose(np.exp(log_prob).sum(), 1, atol=2e-2)
    draw = jax.jit(lambda v: model.apply(v, KEY, (4000,), method="sample"))
    draws = np.asarray(draw(variables))
    assert draws.shape == (4000, 1)
    shares = np.bincount(draws[:, 0].astype(int), minlength=5) / 4000
    np.testing.assert_allclose(shares, np.exp(log_prob), atol=0.03)
    total = jax.jit(jax.grad(lambda v: model.apply(v, x, KEY, samples=3).sum()))
    gradients = total(variables)
    assert all(np.isfinite(g).all() for g in jax.tree.leaves(gradients))


def test_bits_in_batches_are_those_of_all_at_once():
    rows = np.random.default_rng(0).integers(0, 17, (360, 8)).astype(np.uint8)
    bijector = Elementwise(PixelSigmoid(0.05))
    model = Quantized(Flow(bijector, Normal(8), 8), Dequantize(levels=17, event_ndim=1))
    variables = jax.jit(model.init)(KEY, rows[:2], KEY)

    @jax.jit
    def terms(images, key, context):
        return model.apply(variables, images, key, context, method="terms")

    found = measure(terms, rows, KEY, levels=17, samples=4, batch=100)
    one = measure(terms, rows, KEY, levels=17, batch=360)
    assert found.kind == "4-sample bound" and one.kind == "bound"
    assert found.mean < one.mean and len(found.per_image) == 360
    assert np.isfinite(found.per_image).all()
    # The probability of each level is that between two logits, and bounds lie below.
    ends = logit(np.linspace(0, 1, 18) * 0.9 + 0.05)
    ends[[0, -1]] = -np.inf, np.inf
    exact = -np.log2(np.diff(ndtr(ends)))[rows].mean()
    assert exact - 0.02 < found.mean < exact + 0.2
    whole = jnp.mean(jax.jit(partial(model.apply, samples=4))(variables, rows, KEY))
    assert abs(float(-whole / 8 / np.log(2)) - found.mean) < 0.02
