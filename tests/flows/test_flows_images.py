"""Flows of images: densities, draws, contexts and shapes, and levels of pixels."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nfml_jax.bijectors import (
    LU,
    ActNorm,
    Affine,
    Chain,
    Conjugate,
    Coupling,
    Dequantize,
    Elementwise,
    Pad,
    Partial,
    PixelSigmoid,
    Squeeze,
)
from nfml_jax.errors import UserError
from nfml_jax.evaluation.measured_bits import measure
from nfml_jax.flows import Flow, Quantized
from nfml_jax.flows.bases import ClassConditional, LearnedNormal, Normal
from nfml_jax.nets.images import GlowNet
from nfml_jax.testing import perturb

KEY = jax.random.key(0)
SHAPE = 4, 8, 1


def net():
    # A module that stands in two places shares its parameters.
    return GlowNet(hidden=4)


def step():
    return Chain((ActNorm(), LU(event_ndim=3), Coupling(Affine(), net(), event_ndim=3)))


def two_scales():
    """Half of the channels goes on after the first scale, and drives the other half."""
    last = Conjugate(Squeeze(), step())
    prior = Coupling(Affine(), net(), event_ndim=3)
    return Conjugate(Squeeze(), Chain((Partial(last), prior, step())))


def images(*batch, seed=0):
    rng = np.random.default_rng(seed)
    return jnp.asarray(rng.normal(size=(*batch, *SHAPE)), jnp.float32)


def drawn(module, *args):
    variables = module.init(KEY, *args)
    return {**variables, "params": perturb(variables["params"], KEY, 0.1)}


@pytest.mark.parametrize("context", ["vector", "map"])
def test_draws_of_images_have_the_densities_that_are_said(context):
    bijector = two_scales()
    if context == "vector":
        bijector = Conjugate(Squeeze(), Coupling(Affine(), net(), event_ndim=3))
    base = LearnedNormal(event_shape=SHAPE)
    dim = {None: 0, "vector": 2, "map": 1}[context]
    flow = Flow(bijector, base, context_dim=dim, event_shape=SHAPE)
    given = {"vector": jnp.ones((3, 2)), "map": jnp.ones((3, *SHAPE[:2], 1))}
    given = given.get(context)
    many = None if given is None else jnp.broadcast_to(given, (2, *given.shape))
    shifted = None if given is None else many + 1

    @jax.jit
    def run(key):
        variables = drawn(flow, images(3), given)
        draws, log_prob = flow.apply(
            variables, key, (2,), given, method="sample_and_log_prob"
        )
        z, log_det = flow.apply(variables, draws, many, method="to_base")
        back, opposite = flow.apply(variables, z, many, method="from_base")
        again = flow.apply(variables, draws, many)
        other = flow.apply(variables, draws, shifted)
        density = flow.bind(variables).distribution(given)
        shapes = density.event_shape, density.batch_shape
        return draws, log_prob, again, other, back, opposite + log_det, shapes

    draws, log_prob, again, other, back, zero, shapes = run(KEY)
    batch = (2,) if given is None else (2, 3)
    assert draws.shape == (*batch, *SHAPE) and log_prob.shape == batch
    np.testing.assert_allclose(log_prob, again, rtol=1e-4)
    np.testing.assert_allclose(back, draws, atol=1e-4)
    np.testing.assert_allclose(zero, 0, atol=1e-3)
    assert shapes == (SHAPE, batch[1:])
    if given is not None:
        assert np.abs(other - again).max() > 1e-3


def test_a_bijector_of_vectors_acts_on_channels_and_nan_stays():
    flow = Flow(LU(), Normal(event_shape=(2, 3, 4)), event_shape=(2, 3, 4))
    x = jnp.ones((2, 2, 3, 4)).at[1, 0, 0, 0].set(jnp.nan)
    variables = drawn(flow, jnp.ones((1, 2, 3, 4)))
    log_prob = flow.apply(variables, x)
    assert np.isfinite(log_prob[0]) and np.isnan(log_prob[1])
    by_pixel = Flow(LU(), Normal(4), 4).apply(variables, x[0])
    np.testing.assert_allclose(log_prob[0], by_pixel.sum(), rtol=1e-5)


def test_classes_condition_the_base_of_images():
    base = ClassConditional(classes=3, event_shape=SHAPE)
    flow = Flow(
        Conjugate(Squeeze(), Coupling(Affine(), net(), event_ndim=3)),
        base,
        context_dim=3,
        event_shape=SHAPE,
    )
    x, classes = images(3), jnp.eye(3)

    @jax.jit
    def run():
        variables = drawn(flow, x, classes)
        of_all = [flow.apply(variables, x, c) for c in classes]
        return jnp.stack(of_all), flow.apply(variables, x, classes)

    of_all, own = run()
    np.testing.assert_allclose(own, jnp.diag(of_all), rtol=1e-5)


def test_levels_of_an_image_whose_size_does_not_divide():
    """The border that makes 3×7 pixels 4×8 is noise, and does not count as pixels."""
    coupling = Coupling(Affine(), net(), event_ndim=3)
    pixels = Elementwise(PixelSigmoid(0.05), event_ndim=3)
    flow = Flow(
        Chain((Conjugate(Squeeze(), coupling), pixels)),
        Normal(event_shape=SHAPE),
        event_shape=SHAPE,
    )
    noise = Elementwise(Affine(), net(), event_ndim=3)
    pad = Pad(rows=1, columns=1, noise="uniform")
    model = Quantized(flow, (pad, Dequantize(levels=17, noise=noise)))
    x = np.random.default_rng(0).integers(0, 17, (6, 3, 7, 1)).astype(np.uint8)
    variables = jax.jit(model.init)(KEY, x, KEY)
    draws = model.apply(variables, KEY, (7,), method="sample")
    assert draws.shape == (7, 3, 7, 1)
    assert np.isin(draws, np.arange(17)).all()

    @jax.jit
    def terms(images, key, context):
        return model.apply(variables, images, key, context, method="terms")

    padded = pad.numbers((3, 7, 1))
    found = measure(terms, x, KEY, levels=17, samples=3, batch=4, padded=padded)
    assert padded == 11 and found.facts["dimensions"] == 21
    assert set(found.terms) == {"density", "dequantize", "pad", "importance"}
    assert np.isfinite(found.per_image).all() and found.mean > 3


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"event_shape": SHAPE, "event_dim": 32}, "give one of them"),
        ({"event_shape": (4, 5, 1)}, "expected a height and a width"),
        ({"event_shape": (24,)}, "expected 3 sizes"),
        ({"event_shape": (8, 4, 1)}, r"base has events of shape \(4, 8, 1\)"),
    ],
)
def test_shapes_that_do_not_fit_are_a_sentence(options, sentence):
    with pytest.raises(UserError, match=sentence):
        Flow(
            Conjugate(Squeeze(), LU(event_ndim=3)), Normal(event_shape=SHAPE), **options
        )


def test_images_of_another_shape_are_a_sentence():
    flow = Flow(two_scales(), Normal(event_shape=SHAPE), event_shape=SHAPE)
    with pytest.raises(
        UserError, match=r"events of shape \[4, 8, 1\] but got an array"
    ):
        flow.init(KEY, jnp.zeros((2, 4, 8, 3)))
