"""Laws over the table of encoders."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nfml_jax.cli.export import serialize
from nfml_jax.errors import UserError
from nfml_jax.loading.embedders import TrainedEmbedder
from nfml_jax.loading.recognition import Embedder
from nfml_jax.nets import NETS, make_net
from nfml_jax.nets.layers import COARSE, coarse_rows, standardize
from tests.slow import slow

# Small enough to run, with the structure of the full encoder.
SMALL = {
    "cnn": {"features": (4, 6), "hidden": 8},
    "lenetpp": {"features": (2,)},
    "mlp": {"hidden": (8,)},
    "resnet18": {"width": 4, "blocks": (1, 1)},
}


def images(*shape):
    return jnp.asarray(np.random.default_rng(0).normal(size=shape), jnp.float32)


def small(name, **options):
    return make_net(name, 3, **SMALL[name] | options)


def train_mode(net, axis=None):
    """(variables, images) -> (embeddings, batch statistics), as in a training step."""

    def apply(variables, x):
        return net.apply(variables, x, train=True, mutable=["batch_stats"])

    return apply if axis is None else jax.vmap(apply, (None, 0), axis_name=axis)


def filled(path, leaf):
    """Values of a trained network's size: no parameter zero, no variance negative."""
    rng = np.random.default_rng(len(path) + leaf.size)
    values = rng.normal(size=leaf.shape)
    fan_in = np.prod(leaf.shape[:-1])
    values = 0.5 + 0.1 * values if leaf.ndim == 1 else values * np.sqrt(2 / fan_in)
    return jnp.asarray(values, leaf.dtype)


@pytest.fixture(scope="module", params=NETS)
def found(request):
    """Return the values of a small encoder that tests need, from one program."""
    net = small(request.param, embedding_norm=True)
    x, weights = images(4, 9, 8, 1), images(4, 3)
    # Compiling the random initialization would take longer than the tests.
    shapes = jax.eval_shape(lambda: net.init(jax.random.key(0), x, train=True))
    variables = jax.tree_util.tree_map_with_path(filled, shapes)

    @jax.jit
    def everything(variables, x):
        def loss(params):
            out = train_mode(net)(variables | {"params": params}, x)
            return (weights * out[0]).sum(), out

        def embed(x):
            return net.apply(variables, x, train=False)

        gradient, trained = jax.grad(loss, has_aux=True)(variables["params"])
        on_two = train_mode(net.clone(axis_name="d"), axis="d")
        half = train_mode(net.clone(dtype=jnp.bfloat16))
        return {
            "gradient": gradient,
            "trained": trained,
            "on two devices": on_two(variables, x.reshape(2, 2, *x.shape[1:])),
            "bfloat16": half(variables, x)[0],
            "embedded": embed(x),
            "one by one": jax.vmap(lambda x: embed(x[None])[0])(x),
        }

    return jax.device_get(everything(variables, x))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("shape", [(8, 8, 3), (28, 28, 1), (9, 31, 3)])
@pytest.mark.parametrize("name", NETS)
def test_embeddings_and_parameters_are_float32(name, shape, dtype):
    net = make_net(name, 2, dtype=dtype)
    x = jax.ShapeDtypeStruct((5, *shape), jnp.float32)
    embeddings, variables = jax.eval_shape(
        lambda x: net.init_with_output(jax.random.key(0), x, train=True), x
    )
    assert embeddings.shape == (5, 2)
    assert embeddings.dtype == jnp.float32
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype("float32")}


def test_a_device_axis_equals_one_device_and_bfloat16_is_close(found):
    embeddings, stats = found["trained"]
    parts, part_stats = found["on two devices"]
    assert_near(parts.reshape(embeddings.shape), embeddings, 2e-3)
    assert_near(jax.tree.map(lambda s: s[0], part_stats), stats, 2e-3)
    error = np.abs(found["bfloat16"] - embeddings).max()
    assert 1e-4 < error < 0.5  # 2⁻⁸ times the depth; embeddings are of order one


def assert_near(a, b, tolerance):
    def near(a, b):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)

    jax.tree.map(near, a, b)


def test_evaluation_does_not_depend_on_the_batch(found):
    assert_near(found["one by one"], found["embedded"], 1e-3)


def test_every_parameter_has_a_finite_gradient(found):
    for path, leaf in jax.tree_util.tree_leaves_with_path(found["gradient"]):
        assert np.isfinite(leaf).all(), path
        # The norm of the embedding takes away what its bias adds.
        if jax.tree_util.keystr(path) != "['embedding']['dense']['bias']":
            assert (leaf != 0).any(), path


@pytest.mark.parametrize("name", NETS)
def test_an_export_gives_the_encoders_embeddings_for_any_batch_size(name):
    shape = (9, 8, 1)
    module = Embedder(small(name, embedding_norm=True, linear=1))
    pixels = np.random.default_rng(0).integers(0, 256, (5, *shape), np.uint8)
    shapes = jax.eval_shape(
        lambda: module.init(jax.random.key(0), pixels, method="embed")
    )
    variables = jax.tree_util.tree_map_with_path(filled, shapes)
    model = TrainedEmbedder(module, variables, (), shape, None, step=0)
    artifact = jax.export.deserialize(bytearray(serialize(model)))
    expected = model.embed(pixels)
    assert np.ptp(expected) > 0.1, "equal embeddings would show nothing"
    for count in (1, 5):
        embeddings = artifact.call(pixels[:count])
        assert embeddings.dtype == jnp.float32
        np.testing.assert_allclose(embeddings, expected[:count], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("arguments", "options", "says"),
    [
        (("cnnn", 2), {}, "did you mean 'cnn'"),
        (("vgg", 2), {}, "cnn, lenetpp, mlp, resnet18"),
        (("cnn", 2), {"feature": (8,)}, "did you mean 'features'"),
        (("mlp", 2), {"width": 8}, "hidden"),
        (("cnn", 2), {"dtype": "bfloat"}, "did you mean 'bfloat16'"),
        (("cnn", 1), {}, "need 2 dimensions"),
        (("cnn", 4), {"linear": 4}, r"linear=4; expected an integer in \[0, 3\]"),
        (("cnn", 4), {"linear": -1}, "linear"),
        (("cnn", 2.5), {}, "need 2 dimensions"),
    ],
)
def test_unknown_names_raise_one_sentence(arguments, options, says):
    with pytest.raises(UserError, match=says):
        make_net(*arguments, **options)


def test_options_may_be_lists_as_in_configs():
    assert make_net("mlp", 2, hidden=[8, 4]) == make_net("mlp", 2, hidden=(8, 4))


@pytest.mark.parametrize("name", slow(NETS, ["lenetpp", "resnet18"]))
def test_a_linear_part_is_linear_in_the_standardized_picture(name):
    net = small(name, linear=2, standardize="picture")
    x = images(6, 9, 8, 1)
    shapes = jax.eval_shape(lambda: net.init(jax.random.key(0), x, train=False))
    variables = jax.tree_util.tree_map_with_path(filled, shapes)
    part = variables["params"]["linear"]
    embeddings = net.apply(variables, x, train=False)
    assert embeddings.shape == (6, 3)
    rows = coarse_rows(standardize(x, "picture"))
    expected = rows @ part["kernel"] + part["bias"]
    np.testing.assert_allclose(embeddings[:, 1:], expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("shape", [(7, 5, 3), (40, 40, 1), (29, 120, 3)])
def test_coarse_rows_are_unit_vectors_of_bounded_size(shape):
    rows = coarse_rows(images(2, *shape))
    assert rows.shape[1] <= COARSE
    np.testing.assert_allclose(jnp.linalg.norm(rows, axis=1), 1, rtol=1e-5)


def test_coarse_rows_of_one_color_are_zero():
    rows = coarse_rows(jnp.zeros((2, 6, 6, 3)))
    assert (rows == 0).all()
