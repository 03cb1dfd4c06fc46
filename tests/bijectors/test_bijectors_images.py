"""The laws of bijectors on images, and what holds of squeezes and parts of images."""

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
    Elementwise,
    Flatten,
    Haar,
    Inverse,
    Partial,
    Reshape,
    Reverse,
    Squeeze,
    Stack,
)
from nfml_jax.bijectors.bijector import OnLastAxis
from nfml_jax.bijectors.catalogue_images import IMAGE_BIJECTORS
from nfml_jax.errors import UserError
from nfml_jax.nets.conditioners import MLP
from nfml_jax.nets.images import GlowNet
from nfml_jax.testing import check_bijector

N = 3


# Maps of a pixel's channels are those of vectors, whose laws hold for all of them; here
# these few show that they are the same at each pixel.
ON_PIXELS = ("act_norm", "plu", "elementwise", "coupling")
# Other cases stand for these: the other order of pixels, residual maps of vectors, and
# an image of another size.
ALIKE = "pixel_autoregressive_reverse", "residual", "periodic_conv_of_small_images"


# Those whose laws at borders are checked at each run: maps of a map, and of pixels by
# others, where NaN could reach an image beside it.
AT_BORDERS = ("coupling_of_gray", "conjugate", "pixel_autoregressive", "causal_conv")


def cases():
    """Yield each name with alternating dtypes; most maps of single pixels are slow."""
    for number, (name, entry) in enumerate(IMAGE_BIJECTORS.items()):
        dtype = (np.float32, np.float64)[number % 2]
        slow = issubclass(entry.kind, OnLastAxis) and name not in ON_PIXELS
        slow |= name in ALIKE
        yield pytest.param(name, dtype, marks=[pytest.mark.slow] if slow else [])


@pytest.mark.parametrize("name, dtype", list(cases()))
def test_laws_of_images(name, dtype, request):
    entry = IMAGE_BIJECTORS[name]
    rng = np.random.default_rng(0)
    shapes = {"vector": (N, 2), "map": (N, *entry.shape[:2], 2), None: None}
    shape = shapes[entry.context]
    with jax.enable_x64(dtype == np.float64):
        x = rng.normal(size=(N, *entry.shape)).astype(dtype)
        context = None if shape is None else rng.normal(size=shape).astype(dtype)
        borders = name in AT_BORDERS or request.config.getoption("--slow")
        check_bijector(entry.make(), x, context, eager=False, borders=borders)


@pytest.mark.parametrize(
    "order, index",
    [
        ("space_to_depth", lambda dy, dx, c, count: (2 * dy + dx) * count + c),
        ("glow", lambda dy, dx, c, count: 4 * c + 2 * dy + dx),
        (
            "diagonal",
            lambda dy, dx, c, count: [[0, 2], [3, 1]][dy][dx] * count + c,
        ),
    ],
)
def test_squeeze_puts_each_pixel_into_its_channel(order, index):
    height, width, count = 4, 6, 3
    x = jnp.arange(height * width * count).reshape(1, height, width, count) * 1.0
    y = Squeeze(order=order).apply({}, x, method="forward")
    for row, column, c in np.ndindex(height, width, count):
        channel = index(row % 2, column % 2, c, count)
        assert y[0, row // 2, column // 2, channel] == x[0, row, column, c]


def test_a_diagonal_squeeze_separates_the_colors_of_a_checkerboard():
    checkerboard = (np.indices((4, 4)).sum(0) % 2)[None, ..., None] * 1.0
    y = Squeeze(order="diagonal").apply({}, jnp.asarray(checkerboard), method="forward")
    np.testing.assert_array_equal(y[..., :2], 0)
    np.testing.assert_array_equal(y[..., 2:], 1)


def test_haar_preserves_lengths_and_starts_with_the_mean():
    x = np.random.default_rng(0).normal(size=(2, 4, 6, 3)).astype(np.float32)
    y = np.asarray(Haar().apply({}, x, method="forward"))
    np.testing.assert_allclose((y**2).sum(), (x**2).sum(), rtol=1e-5)
    blocks = x.reshape(2, 2, 2, 3, 2, 3).mean((2, 4))
    np.testing.assert_allclose(y[..., :3], 2 * blocks, rtol=1e-5, atol=1e-6)


def test_a_map_of_channels_counts_once_for_each_pixel():
    x = np.zeros((2, 3, 5, 4), np.float32)
    layer = LU(event_ndim=3)
    params = {"triangles": jnp.zeros((4, 4)), "shift": jnp.zeros(4)}
    params["log_scale"] = jnp.full(4, 0.5)
    _, log_det = layer.apply({"params": params}, x)
    each = 4 * 5.0 * np.tanh(0.1)
    np.testing.assert_allclose(log_det, np.full(2, 15 * each), rtol=1e-5)


def test_a_chain_of_images_applies_maps_of_vectors_to_each_pixel():
    x = np.random.default_rng(0).normal(size=(2, 2, 3, 4)).astype(np.float32)
    of_images = Chain((ActNorm(event_ndim=3), Coupling(Affine(), GlowNet(hidden=4))))
    of_pixels = Chain((ActNorm(), Coupling(Affine(), GlowNet(hidden=4), event_ndim=3)))
    variables = jax.jit(of_images.init)(jax.random.key(0), x)
    results = [jax.jit(map_.apply)(variables, x) for map_ in (of_images, of_pixels)]
    jax.tree.map(np.testing.assert_array_equal, *results)
    assert results[0][1].shape == (2,)


def test_a_coupling_computes_parameters_for_its_changed_channels_alone():
    x = np.zeros((1, 4, 4, 6), np.float32)
    layer = Coupling(Affine(), GlowNet(hidden=4), event_ndim=3)
    shapes = jax.eval_shape(layer.init, jax.random.key(0), x)
    kernel = shapes["params"]["conditioner"]["out"]["kernel"]
    assert kernel.shape[-1] == 2 * 3


def test_act_norm_starts_with_unit_channels_within_a_stack_of_scales():
    x = np.random.default_rng(0).normal(3, 7, (16, 4, 4, 2)).astype(np.float32)
    step = Chain((ActNorm(), Coupling(Affine(), GlowNet(hidden=4))))
    flow = Conjugate(Squeeze(), Stack(step, 3))
    variables = jax.jit(flow.init)(jax.random.key(0), x)
    y = jax.jit(lambda: flow.apply(variables, x, method="forward"))()
    y = np.asarray(y).reshape(16, 2, 2, 2, 2, 2)
    np.testing.assert_allclose(y.mean((0, 1, 3)), 0, atol=1e-4)
    np.testing.assert_allclose(y.std((0, 1, 3)), 1, atol=1e-3)
    # Only the first layer has something left to normalize.
    scales = variables["params"]["bijector"]["layer"]["bijectors_0"]["log_scale"]
    np.testing.assert_allclose(scales[0], -np.log(7), atol=0.3)
    np.testing.assert_allclose(scales[1:], 0, atol=1e-3)


@pytest.mark.parametrize(
    "make, shape, words",
    [
        (lambda: Squeeze(), (5, 4, 1), "5×4 pixels.*2 divides: pad or crop"),
        (lambda: Inverse(Squeeze()), (2, 2, 3), "3 channels.*4 divides"),
        (lambda: Flatten((2, 2, 1)), (2, 3, 1), r"shape \[2, 3, 1\]; expected \[2, 2"),
        (lambda: Partial(Elementwise(Affine()), 5), (2, 2, 3), "channels=5"),
        (lambda: Reshape((4,), (3,)), (4,), "shape of 4 numbers"),
        (lambda: Stack(Squeeze(), 2), (4, 4, 1), "preserves the event's shape"),
        (lambda: Chain((Flatten((2, 2, 1)), Squeeze())), (2, 2, 1), "a Reshape"),
        (lambda: Conjugate(Flatten((4,)), Haar()), (4,), "events of 1 axes"),
    ],
)
def test_shapes_that_do_not_fit_get_a_sentence(make, shape, words):
    with pytest.raises(UserError, match=words):
        make().init(jax.random.key(0), np.zeros((2, *shape), np.float32))


@pytest.mark.parametrize(
    "shape, words", [((3, 4), "expected 3 axes"), ((2, 2, 4, 4, 1), None)]
)
def test_contexts_and_batches_of_images(shape, words):
    layer = Elementwise(Affine(), MLP(hidden=(4,)), event_ndim=3)
    x = np.zeros(shape, np.float32)
    if words:
        with pytest.raises(UserError, match=words):
            layer.init(jax.random.key(0), x, np.zeros(2))
        return
    variables = layer.init(jax.random.key(0), x, np.zeros(2))
    for context in ((2,), (2, 2), (5, 1, 2, 2), (2, 2, 4, 4, 2)):
        y, log_det = layer.apply(variables, x, np.zeros(context))
        batch = (5, 2, 2) if len(context) == 4 else (2, 2)
        assert y.shape == (*batch, 4, 4, 1) and log_det.shape == batch
    with pytest.raises(UserError, match="a map of the events' size"):
        layer.apply(variables, x, np.zeros((2, 2, 3, 4, 2)))


def test_shapes_follow_a_chain():
    chain = Chain((Squeeze(), Squeeze(), Flatten((2, 1, 16)), Reverse()))
    assert chain.forward_shape((8, 4, 1)) == (32,)
    assert chain.inverse_shape((32,)) == (8, 4, 1)
    assert (chain.event_ndim, chain.event_ndim_out) == (3, 1)
    assert Inverse(chain).event_ndim == 1


def test_an_empty_batch_of_images_gives_an_empty_result():
    layer = Conjugate(Squeeze(), Coupling(Affine(), GlowNet(hidden=4)))
    x = np.zeros((0, 4, 4, 1), np.float32)
    variables = jax.eval_shape(layer.init, jax.random.key(0), x, np.zeros(3))
    y, log_det = jax.eval_shape(layer.apply, variables, x, np.zeros(3))
    assert y.shape == x.shape and log_det.shape == (0,)
