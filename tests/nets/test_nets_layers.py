"""The shared layers against lax and Flax, in value, gradient and parameters."""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.sharding import PartitionSpec as P

from nfml_jax.errors import UserError
from nfml_jax.nets import convolution
from nfml_jax.nets.convolution import conv
from nfml_jax.nets.layers import (
    BatchNorm,
    Conv,
    Embedding,
    PReLU,
    max_pool,
    standardize,
)


def reference_conv(x, kernel, stride=1):
    return lax.conv_general_dilated(
        x, kernel, (stride, stride), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def normal(seed, *shape, dtype=jnp.float32):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), dtype)


def value_and_gradients(conv, x, kernel, stride, upstream):
    @jax.jit
    def both(x, kernel, upstream):
        y, pull = jax.vjp(partial(conv, stride=stride), x, kernel)
        return y, *pull(upstream)

    return both(x, kernel, upstream)


GEOMETRIES = [  # size, kernel, stride
    ((8, 8), (3, 3), 1),
    ((8, 9), (3, 3), 2),
    ((7, 5), (3, 3), 1),
    ((7, 8), (5, 5), 2),
    ((3, 3), (5, 5), 1),  # the kernel is larger than the image
    ((6, 7), (1, 1), 2),
    ((6, 7), (2, 4), 1),  # even kernels pad more at the end
    ((9, 7), (3, 2), 3),
    ((5, 1), (3, 5), 1),
]
# A convolution of fewer outputs than inputs is another computation.
WIDENING, NARROWING = (3, 4), (4, 2)


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "channels", "dtype", "tolerance"),
    [(*geometry, WIDENING, "float64", 1e-10) for geometry in GEOMETRIES]
    + [(*g, NARROWING, "float64", 1e-10) for g in GEOMETRIES if g[2] == 1]
    + [(*geometry, WIDENING, "float32", 1e-4) for geometry in GEOMETRIES[:2]],
)
def test_conv_and_its_gradients_equal_lax(
    size, kernel, stride, channels, dtype, tolerance
):
    with jax.enable_x64(dtype == "float64"):
        x = normal(0, 2, *size, channels[0], dtype=dtype)
        kernel = normal(1, *kernel, *channels, dtype=dtype)
        shape = jax.eval_shape(partial(reference_conv, stride=stride), x, kernel).shape
        upstream = normal(2, *shape, dtype=dtype)
        ours = value_and_gradients(conv, x, kernel, stride, upstream)
        lax_s = value_and_gradients(reference_conv, x, kernel, stride, upstream)
        for a, b in zip(ours, lax_s, strict=True):
            assert a.dtype == b.dtype == dtype
            np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(
    ("stride", "pieces", "outputs"), [(1, 3, 4), (2, 6, 4), (1, 3, 2)]
)
def test_a_large_conv_in_pieces_equals_one_conv(stride, pieces, outputs, monkeypatch):
    monkeypatch.setattr(convolution, "LARGE", 0)
    patches = 6 * 7 * 8 * min(3, outputs) * 9 * 4 // stride**2
    monkeypatch.setattr(convolution, "PIECE", patches // pieces)
    x, kernel = normal(0, 6, 7, 8, 3), normal(1, 3, 3, 3, outputs)
    upstream = normal(2, 6, -(-7 // stride), -(-8 // stride), outputs)
    traced = str(jax.make_jaxpr(partial(conv, stride=stride))(x, kernel))
    assert f"length={pieces}" in traced
    ours = value_and_gradients(conv, x, kernel, stride, upstream)
    lax_s = value_and_gradients(reference_conv, x, kernel, stride, upstream)
    for a, b in zip(ours, lax_s, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


# What is stored is what the compiler says for one large image.
@pytest.mark.slow
def test_large_convs_store_inputs_instead_of_patches(monkeypatch):
    x = jax.ShapeDtypeStruct((32, 16, 16, 8), jnp.float32)
    kernels = [jax.ShapeDtypeStruct((3, 3, 8, 8), jnp.float32)] * 4

    def loss(kernels, x):
        for kernel in kernels:
            x = x + jnp.tanh(conv(x, kernel))
        return (x**2).mean()

    def scratch():
        compiled = jax.jit(jax.grad(loss)).lower(kernels, x).compile()
        return compiled.memory_analysis().temp_size_in_bytes

    whole = scratch()
    monkeypatch.setattr(convolution, "LARGE", 2**16)
    monkeypatch.setattr(convolution, "PIECE", 2**16)
    jax.clear_caches()
    assert scratch() < whole / 3


def test_conv_differentiates_forward_and_batches_with_vmap():
    x, kernels = normal(0, 2, 6, 5, 3), normal(1, 4, 3, 3, 3, 2)
    tangent = jnp.ones_like(kernels)

    def pushed(conv):
        one = lambda k, t: jax.jvp(partial(conv, x), (k,), (t,))  # noqa: E731
        return jax.vmap(one)(kernels, tangent)

    for a, b in zip(pushed(conv), pushed(reference_conv), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


def descend(conv, kernel, x, count):
    def step(_, kernel):
        return kernel - 0.1 * jax.grad(lambda k: (conv(x, k) ** 2).mean())(kernel)

    return lax.fori_loop(0, count, step, kernel)


def test_conv_trains_inside_a_loop_under_shard_map_as_lax_does():
    x, kernel = normal(0, 4, 6, 5, 3), normal(1, 3, 3, 3, 2)
    mesh = jax.make_mesh((1,), ("d",), axis_types=(jax.sharding.AxisType.Auto,))

    @jax.jit
    @partial(jax.shard_map, mesh=mesh, in_specs=(P(), P("d"), P()), out_specs=P())
    def sharded(kernel, x, count):
        kernel = lax.pcast(kernel, "d", to="varying")
        return lax.pmean(descend(conv, kernel, x, count), "d")

    plain = jax.jit(partial(descend, reference_conv))(kernel, x, 5)
    np.testing.assert_allclose(sharded(kernel, x, 5), plain, rtol=1e-4, atol=1e-5)


def test_conv_exports_a_form_for_each_platform():
    x, kernel = normal(0, 2, 6, 5, 3), normal(1, 3, 3, 3, 2)
    export = partial(jax.export.export, jax.jit(conv))
    both = export(platforms=("cpu", "cuda"))(x, kernel)
    np.testing.assert_allclose(both.call(x, kernel), conv(x, kernel), rtol=1e-6)
    lowered = {
        platform: export(platforms=(platform,))(x, kernel).mlir_module()
        for platform in ("cpu", "cuda")
    }
    assert "stablehlo.convolution" in lowered["cuda"]
    assert "stablehlo.convolution" not in lowered["cpu"]


@pytest.mark.parametrize("size", [(8, 8), (7, 9), (2, 3)])
def test_max_pool_equals_flax_in_value_and_gradient(size):
    x = normal(0, 2, *size, 3)
    y, pull = jax.vjp(jax.jit(max_pool), x)
    expected, pull_expected = jax.vjp(lambda x: nn.max_pool(x, (2, 2), (2, 2)), x)
    upstream = normal(1, *y.shape)
    np.testing.assert_array_equal(y, expected)
    np.testing.assert_array_equal(*pull(upstream), *pull_expected(upstream))


def test_gradient_of_max_pool_with_ties_is_a_subgradient():
    """Only the largest entries get a share, none negative, together the upstream's."""
    x = np.random.default_rng(0).integers(0, 2, (8, 6, 6, 5)).astype(np.float32)
    y, pull = jax.vjp(jax.jit(max_pool), x)
    upstream = np.abs(normal(1, *y.shape))
    (gradient,) = map(np.asarray, pull(upstream))
    largest = x == np.asarray(y).repeat(2, axis=1).repeat(2, axis=2)
    assert (gradient >= 0).all()
    assert (gradient[~largest] == 0).all()
    shares = gradient.reshape(8, 3, 2, 3, 2, 5).sum((2, 4))
    np.testing.assert_allclose(shares, upstream, rtol=1e-6)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("use_bias", [True, False])
def test_parameters_of_conv_interchange_with_flax(stride, use_bias):
    x = normal(0, 2, 7, 6, 3)
    ours = Conv(4, kernel_size=3, stride=stride, use_bias=use_bias)
    flax_s = nn.Conv(4, (3, 3), strides=stride, use_bias=use_bias)
    shapes = jax.eval_shape(flax_s.init, jax.random.key(0), x)
    assert jax.eval_shape(ours.init, jax.random.key(0), x) == shapes
    variables = jax.tree.map(lambda leaf: normal(3, *leaf.shape), shapes)
    np.testing.assert_allclose(
        ours.apply(variables, x), flax_s.apply(variables, x), rtol=1e-4, atol=1e-5
    )


def test_prelu_is_the_identity_above_zero_and_learns_below():
    x = jnp.array([[-2.0, 3.0], [4.0, -1.0]])
    variables = {"params": {"slope": jnp.array([0.5, 0.1])}}
    y, pull = jax.vjp(lambda v: PReLU().apply(v, x), variables)
    np.testing.assert_allclose(y, [[-1.0, 3.0], [4.0, -0.1]])
    np.testing.assert_allclose(pull(jnp.ones_like(y))[0]["params"]["slope"], [-2, -1])


def test_batch_norm_over_an_axis_equals_one_device():
    x = normal(0, 8, 3, 3, 4) + 2
    variables = BatchNorm().init(jax.random.key(0), x, True)
    apply = partial(BatchNorm.apply, train=True, mutable=["batch_stats"])

    @jax.jit
    def both(x):
        def share(x):
            return apply(BatchNorm(axis_name="d"), variables, x)

        halves = x.reshape(2, 4, 3, 3, 4)
        whole = apply(BatchNorm(), variables, x)
        return whole, jax.vmap(share, axis_name="d")(halves)

    (whole, stats), (parts, part_stats) = both(x)
    np.testing.assert_allclose(parts.reshape(whole.shape), whole, atol=1e-5)
    for one, two in zip(*map(jax.tree.leaves, (stats, part_stats)), strict=True):
        np.testing.assert_allclose(two, jnp.stack([one, one]), rtol=1e-5)


def test_batch_norm_in_evaluation_uses_the_running_statistics():
    x = normal(0, 64, 4) * 3 + 2
    variables = BatchNorm().init(jax.random.key(0), x, True)
    for _ in range(100):
        _, stats = BatchNorm().apply(variables, x, True, mutable=["batch_stats"])
        variables = variables | stats
    train, _ = BatchNorm().apply(variables, x, True, mutable=["batch_stats"])
    np.testing.assert_allclose(BatchNorm().apply(variables, x, False), train, atol=1e-2)


def test_normalized_embedding_has_mean_zero_and_variance_one():
    x = normal(0, 64, 2, 3) + 1
    module = Embedding(5, norm=True)
    y, _ = jax.jit(lambda: module.init_with_output(jax.random.key(0), x, True))()
    np.testing.assert_allclose(y.mean(0), jnp.zeros(5), atol=1e-5)
    np.testing.assert_allclose(y.var(0), jnp.ones(5), rtol=1e-3)


@pytest.mark.parametrize("how", ["picture", "local"])
def test_standardized_pictures_do_not_depend_on_light_and_contrast(how):
    pictures = np.asarray(jax.random.uniform(jax.random.key(0), (3, 24, 20, 3)))
    found = standardize(jnp.asarray(pictures), how)
    other = standardize(jnp.asarray(0.5 * pictures + 0.25), how)
    assert float(jnp.abs(found - other).mean()) < 0.05 * float(jnp.abs(found).mean())
    np.testing.assert_allclose(found.std(axis=(1, 2, 3)), 1, atol=0.1)
    assert float(jnp.abs(standardize(jnp.full((1, 9, 9, 1), 0.7), how)).max()) < 1e-4


def test_local_standardization_removes_a_gradient_of_light():
    pictures = jax.random.uniform(jax.random.key(0), (2, 32, 32, 1))
    lit = pictures * jnp.linspace(0.2, 1.0, 32)[:, None]

    def likeness(how):
        a, b = standardize(pictures, how).ravel(), standardize(lit, how).ravel()
        return float(jnp.corrcoef(a, b)[0, 1])

    assert likeness("local") > 0.95 > likeness("picture")


def test_pictures_are_unchanged_by_default():
    pictures = jnp.ones((1, 4, 4, 1))
    assert standardize(pictures, "none") is pictures
    with pytest.raises(UserError, match="'locale'"):
        standardize(pictures, "locale")
