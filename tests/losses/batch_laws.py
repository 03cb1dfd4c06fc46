"""The laws of all objectives, on one batch with one program for each."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from nfml_jax.losses import make_loss

CLASSES, SIZE = 5, 4
# The last class has no example, and two rows are padding.
LABELS = np.array([0, 1, 0, -1, 2, 3, 1, 0, 3, 2, 0, 1, 3, -1])
EMBEDDINGS = np.random.default_rng(0).normal(size=(len(LABELS), SIZE))
AXIS = "devices"
# Losses that depend on the length of embeddings.
BY_LENGTH = ("n_pair", "nca", "center", "barlow_twins", "vicreg")


@functools.cache
def objective(name, **options):
    return make_loss(CLASSES, SIZE, name=name, **options)


@functools.cache
def variables(name, **options):
    """Return float32 variables of an objective, none of them zero."""
    rows = jnp.zeros((2, SIZE)), jnp.zeros(2, int)
    init = objective(name, **options).init
    start = jax.eval_shape(lambda: init(jax.random.key(0), *rows))
    rng = np.random.default_rng(1)
    return jax.tree.map(lambda x: rng.normal(size=x.shape).astype(np.float32), start)


def split(variables):
    """Return the parameters, and the other collections."""
    collections = dict(variables)
    return collections.pop("params", {}), collections


@functools.cache
def program(name, devices=1, **options):
    """`(embeddings, labels, variables) -> loss, gradients, collections`, compiled.

    Gradients are with respect to embeddings and parameters. Several devices are a
    `vmap` that names their axis.
    """
    module = objective(name, axis_name=AXIS if devices > 1 else None, **options)

    def loss(embeddings, params, labels, collections):
        out, collections = module.apply(
            {"params": params, **collections},
            embeddings,
            labels,
            mutable=list(collections),
        )
        return out.loss, (collections, out.logged)

    differentiate = jax.value_and_grad(loss, argnums=(0, 1), has_aux=True)

    def run(embeddings, labels, variables):
        params, collections = split(variables)
        embeddings = jnp.asarray(embeddings, jnp.float32)
        if devices == 1:
            (value, (collections, logged)), grads = differentiate(
                embeddings, params, labels, collections
            )
            return value, grads, collections, logged
        shard = lambda x: x.reshape(devices, -1, *x.shape[1:])  # noqa: E731
        (value, (collections, _)), grads = jax.vmap(
            differentiate, (0, None, 0, None), axis_name=AXIS
        )(shard(embeddings), params, shard(labels), collections)
        # As `pmean` would: each row is on one device, parameters are on all.
        rows = (grads[0] / devices).reshape(embeddings.shape)
        value, params, collections = jax.tree.map(
            lambda x: x.mean(axis=0), (value, grads[1], collections)
        )
        return value, (rows, params), collections, None

    return jax.jit(run)


def run(name, embeddings=EMBEDDINGS, labels=LABELS, given=None, devices=1, **options):
    """Return results of `program` as numpy arrays, by default for the shared batch."""
    given = variables(name, **options) if given is None else given
    result = program(name, devices, **options)(embeddings, np.asarray(labels), given)
    return jax.device_get(result)


def check_against(name, reference, **options):
    """Check values against a reference, and gradients against its differences."""
    known = LABELS >= 0
    params, collections = split(variables(name, **options))
    params = jax.tree.map(np.float64, params)
    given = {k: np.float64(jax.tree.leaves(v)[0]) for k, v in collections.items()}
    x = EMBEDDINGS[known]

    def of(step, towards):
        moved = jax.tree.map(lambda p, t: p + step * t, (x, params), towards)
        return reference(moved[0], LABELS[known], {**moved[1], **given})

    value, (rows, of_params), _, logged = run(name, **options)
    np.testing.assert_allclose(value, of(0.0, (x, params)), rtol=2e-5)
    assert all(np.shape(v) == () and np.isfinite(v) for v in logged.values())
    norms = np.linalg.norm(x, axis=1)
    mean = np.mean(x / norms[:, None], axis=0)
    np.testing.assert_allclose(logged["embedding_norm"], norms.mean(), rtol=1e-5)
    np.testing.assert_allclose(logged["spread"] ** 2, 1 - mean @ mean, rtol=1e-4)
    np.testing.assert_array_equal(rows[~known], 0.0)
    rng = np.random.default_rng(2)
    for _ in range(3):
        towards = jax.tree.map(lambda p: rng.normal(size=p.shape), (x, params))
        slope = (of(1e-6, towards) - of(-1e-6, towards)) / 2e-6
        products = jax.tree.map(np.vdot, towards, (rows[known], of_params))
        total = sum(jax.tree.leaves(products))
        np.testing.assert_allclose(total, slope, rtol=1e-3, atol=1e-4)


def check_devices(name, **options):
    """Check that two devices have the loss, gradients and collections of one."""
    one, two = run(name, **options), run(name, devices=2, **options)
    for a, b in zip(jax.tree.leaves(one[:3]), jax.tree.leaves(two[:3]), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def check_chunks(name, **options):
    """Check that rows in chunks of three give the results of all rows at once."""
    at_once, in_chunks = run(name, **options), run(name, chunk=3, **options)
    for a, b in zip(*map(jax.tree.leaves, (at_once, in_chunks)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def check_permutation(name, order, **options):
    """Check that the loss doesn't depend on the order of the rows."""
    value, (rows, _), _, _ = run(name, **options)
    permuted = run(name, EMBEDDINGS[order], LABELS[order], **options)
    np.testing.assert_allclose(permuted[0], value, rtol=1e-5)
    np.testing.assert_allclose(permuted[1][0], rows[order], rtol=1e-3, atol=1e-5)


def check_sizes(name, **options):
    """Check that the loss doesn't depend on the length of embeddings.

    The gradient is divided by the length. Losses that depend on it are checked to be
    finite if float32 holds its square.
    """
    value, (rows, _), _, _ = run(name, **options)
    for size in (1e-30, 1e-20, 1e-8, 1e8, 1e18, 1e20):
        if name in BY_LENGTH and size > 1e8:
            continue
        changed, grads, _, logged = run(name, size * EMBEDDINGS, **options)
        for leaf in jax.tree.leaves((changed, grads, logged)):
            assert np.isfinite(leaf).all(), size
        if name not in BY_LENGTH:
            np.testing.assert_allclose(changed, value, rtol=1e-4)
            np.testing.assert_allclose(size * grads[0], rows, rtol=1e-2, atol=1e-3)


def check_nan(name, **options):
    """Check that an embedding that isn't finite makes the loss NaN."""
    rows = np.arange(len(LABELS))[:, None]
    for bad in (np.nan, np.inf):
        assert np.isnan(run(name, np.where(rows == 0, bad, EMBEDDINGS), **options)[0])


def check_edges(name, **options):
    """Check that values and gradients are finite if formulae divide by zero."""
    same = np.broadcast_to(EMBEDDINGS[0], EMBEDDINGS.shape)
    mixed = np.where((np.arange(len(LABELS)) < 7)[:, None], 0.0, EMBEDDINGS)
    one_class, singles = np.zeros_like(LABELS), np.arange(len(LABELS))
    none = np.full_like(LABELS, -1)
    for x in (EMBEDDINGS, same, 0 * same, mixed, 1e-4 * EMBEDDINGS, 1e4 * EMBEDDINGS):
        for labels in (LABELS, one_class, singles, none):
            value, grads, collections, logged = run(name, x, labels, **options)
            for leaf in jax.tree.leaves((value, grads, collections, logged)):
                assert np.isfinite(leaf).all()
            if x is same:  # a collapse is seen
                assert logged["spread"] < 1e-3
    np.testing.assert_array_equal(run(name, labels=none, **options)[1][0], 0.0)
