"""Conditioners of images: their call, contexts, and published parameter counts."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from nfml_jax.errors import UserError
from nfml_jax.nets import layers
from nfml_jax.nets.images import (
    IMAGE_CONDITIONERS,
    AttentionNet,
    GatedResNet,
    make_image_conditioner,
)
from tests.slow import slow

SMALL = {
    "attention": {"hidden": 4, "heads": 2, "blocks": 1},
    "densenet": {"hidden": 4, "depth": 2, "growth": 3},
    "gated": {"hidden": 4, "blocks": 1},
    "glow": {"hidden": 6},
    "resnet": {"hidden": 4, "blocks": 1},
}
SIZE = 4, 3, 2
NETS = sorted(IMAGE_CONDITIONERS)


def small(name, **options):
    return make_image_conditioner(name, **SMALL[name], **options)


def normal(seed, *shape, dtype=jnp.float32):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), dtype)


def drawn(net, *args, spread=0.3):
    """Variables drawn by numpy, which compiles nothing."""
    shapes = jax.eval_shape(lambda *a: net.init(jax.random.key(0), *a, 5), *args)
    rng = np.random.default_rng(0)
    return jax.tree.map(
        lambda p: jnp.asarray(spread * rng.normal(size=p.shape), p.dtype), shapes
    )


def count(net, shape, features):
    shapes = jax.eval_shape(
        lambda x: net.init(jax.random.key(0), x, None, features), jnp.zeros(shape)
    )
    return sum(leaf.size for leaf in jax.tree.leaves(shapes))


# Their last layer is that of the others.
@pytest.mark.parametrize("name", slow(NETS, ["attention", "densenet"]))
def test_starts_at_zero_and_takes_any_leading_axes(name):
    net, x = small(name), normal(0, 2, 3, *SIZE)
    vector, map_ = normal(1, 3, 2), normal(2, 1, 3, *SIZE[:2], 1)
    start = jax.eval_shape(lambda: net.init(jax.random.key(0), x, vector, 5))
    start = jax.tree.map(lambda p: jnp.ones(p.shape), start)
    start["params"]["out"] = net_out_at_start(net, x, vector)
    by_vector, by_map = drawn(net, x, vector), drawn(net, x, map_)

    @jax.jit
    def results():
        apply = net.apply
        return (
            apply(start, x, vector, 5),
            apply(by_vector, x, vector, 5),
            apply(by_vector, x[1, 2], vector[2], 5),
            apply(by_map, x, map_, 5),
            apply(by_map, x[1, 2], map_[0, 2], 5),
            apply(by_map, x, map_ + 1, 5),
        )

    zero, y, one, mapped, mapped_one, other = results()
    assert not zero.any()
    assert y.shape == mapped.shape == (2, 3, *SIZE[:2], 5) and y.dtype == x.dtype
    np.testing.assert_allclose(one, y[1, 2], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(mapped_one, mapped[1, 2], rtol=1e-5, atol=1e-5)
    assert np.abs(mapped - other).max() > 1e-3


def net_out_at_start(net, x, vector):
    init = jax.jit(lambda: net.init(jax.random.key(0), x, vector, 5)["params"]["out"])
    return init()


@pytest.mark.parametrize("name", NETS)
def test_equals_lax_in_float64_with_finite_gradients(name, monkeypatch):
    with jax.enable_x64(True):
        x = normal(0, 2, *SIZE, dtype=float)
        vector = normal(1, 2, 3, dtype=float)
        net = small(name)
        variables = drawn(net, x, vector)

        def total(variables, x, vector):
            y = net.apply(variables, x, vector, 5)
            return (y**2).sum(), y

        both = jax.value_and_grad(total, (0, 1, 2), has_aux=True)
        (_, y), gradients = jax.jit(both)(variables, x, vector)
        monkeypatch.setattr(layers, "conv", reference_conv)
        (_, expected), wanted = jax.jit(both)(variables, x, vector)
        assert y.dtype == np.float64
        np.testing.assert_allclose(y, expected, rtol=1e-10, atol=1e-12)
        pairs = zip(*map(jax.tree.leaves, (gradients, wanted)), strict=True)
        for ours, theirs in pairs:
            assert np.isfinite(ours).all()
            np.testing.assert_allclose(ours, theirs, rtol=1e-7, atol=1e-9)


def reference_conv(x, kernel, stride=1):
    return lax.conv_general_dilated(
        x, kernel, (stride, stride), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


@pytest.mark.parametrize("name", NETS)
def test_dropout_acts_where_there_is_a_key(name):
    net, x = small(name, dropout=0.5), normal(0, 1, *SIZE)
    variables = drawn(net, x, None)

    @jax.jit
    def results(key):
        dropped = net.apply(variables, x, None, 5, rngs={"dropout": key})
        plain = small(name).apply(variables, x, None, 5)
        return plain, net.apply(variables, x, None, 5), dropped

    plain, undropped, dropped = results(jax.random.key(0))
    np.testing.assert_allclose(plain, undropped, rtol=1e-6)
    assert np.abs(plain - dropped).max() > 1e-3


def test_half_precision_is_that_of_the_arithmetic_alone():
    net, x = small("gated", dtype=jnp.bfloat16), normal(0, 2, *SIZE)
    variables = drawn(net, x, None)
    assert all(p.dtype == jnp.float32 for p in jax.tree.leaves(variables))
    y = jax.jit(lambda: net.apply(variables, x, None, 5))()
    exact = jax.jit(lambda: small("gated").apply(variables, x, None, 5))()
    assert y.dtype == jnp.bfloat16
    np.testing.assert_allclose(y.astype(float), exact, atol=0.2)


def test_attention_depends_on_all_pixels_and_their_positions():
    net, x = AttentionNet(hidden=4, heads=2, blocks=1), jnp.ones((1, 5, 6, 2))
    variables = drawn(net, x, None, spread=1.0)

    def corner(x):
        y = net.apply(variables, x, None, 5)[0]
        return y[4, 5, 0], y[2, 2:4, 0]

    (_, inside), gradient = jax.jit(jax.value_and_grad(corner, has_aux=True))(x)
    assert np.abs(gradient[0, 0, 0]).max() > 0
    assert inside[0] != inside[1]


def test_published_parameter_counts_come_out():
    """The counts are those of the couplings' networks in the UvA tutorial."""
    full, half, quarter = (28, 28, 1), (14, 14, 4), (7, 7, 8)
    first = count(GatedResNet(hidden=32), full, 2) + 1
    noise = count(GatedResNet(hidden=16), (28, 28, 2), 2) + 1
    second = count(GatedResNet(hidden=48), half, 8) + 4
    third = count(GatedResNet(hidden=64), quarter, 16) + 8
    assert 8 * first == 556_312
    assert 8 * first + 4 * noise == 628_388
    assert 4 * noise + 2 * first + 2 * second + 4 * third == 1_711_818


def test_without_inputs_the_feature_map_is_the_image():
    net, x = small("glow"), normal(0, 2, *SIZE)
    variables = drawn(net, x, None)
    np.testing.assert_array_equal(
        net.apply(variables, None, x, 5), net.apply(variables, x, None, 5)
    )


def test_a_map_of_one_pixel_is_a_vector():
    net, x, vector = small("glow"), normal(0, 2, *SIZE), normal(1, 2, 3)
    variables = drawn(net, x, vector)
    np.testing.assert_array_equal(
        net.apply(variables, x, vector[:, None, None], 5),
        net.apply(variables, x, vector, 5),
    )


def test_values_that_do_not_fit_get_a_sentence():
    net, x = small("glow"), normal(0, 2, *SIZE)
    with pytest.raises(UserError, match="expected a feature map of the inputs' size"):
        net.init(jax.random.key(0), x, normal(0, 2, 5, 3, 1), 5)
    with pytest.raises(UserError, match=r"shape \[2, 3\]; expected images"):
        net.init(jax.random.key(0), normal(0, 2, 3), None, 5)
    with pytest.raises(UserError, match="expected images"):
        net.init(jax.random.key(0), None, normal(0, 2), 5)
    with pytest.raises(UserError, match="heads=3; expected a divisor of hidden=32"):
        AttentionNet(heads=3)
    with pytest.raises(UserError, match="did you mean 'glow'"):
        make_image_conditioner("glo")
    with pytest.raises(UserError, match="option of the conditioner 'glow': 'depth'"):
        make_image_conditioner("glow", depth=3)
