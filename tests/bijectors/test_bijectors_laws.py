"""The laws of bijectors, over the table of all of them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nfml_jax.bijectors import Bijector
from nfml_jax.bijectors.bijector import zero_log_det
from nfml_jax.bijectors.catalogue import BIJECTORS
from nfml_jax.testing import check_bijector

N = 6
# The coupling of this transform stands for those of all.
COUPLINGS = ("coupling_affine",)
# Their orthogonal kind stands for them in float64: one map, with another matrix.
LIKE_ORTHOGONAL = ("sylvester_triangular", "sylvester_householder")
# The laws of float64 show these maps, and their recipes run both ways in float32.
IN_FLOAT64 = (
    *("block_autoregressive", "residual", "radial", "qr", "svd", "low_rank"),
    *("matrix_exponential", "sylvester_orthogonal", "autoregressive", "planar"),
    *("sphere", "stack", "plu"),
)


def events(kind, dims, dtype, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(N, dims))
    if kind == "unit":
        x = rng.uniform(0.02, 0.98, (N, dims))
    elif kind == "positive":
        x = np.exp(x)
    elif kind == "angle":
        x = rng.uniform(-3.1, 3.1, (N, dims))
    elif kind == "sphere":
        x /= np.linalg.norm(x, axis=-1, keepdims=True)
    return x.astype(dtype)


def case(fast, *values):
    return pytest.param(*values, marks=[] if fast else [pytest.mark.slow])


def cases():
    """Yield each bijector in float64, given a context if it can be, and in float32.

    Float32 is tried with the fewest coordinates; with more of them only by --slow, as
    float64 shows the map's laws there, and each recipe the two directions in float32.
    """
    for name, entry in BIJECTORS.items():
        if not entry.exact:
            continue
        if name.startswith("coupling_"):
            # Their transforms have laws of their own, in both precisions.
            yield case(name in COUPLINGS, name, 4, True, np.float64)
            continue
        double, single = name not in LIKE_ORTHOGONAL, name not in IN_FLOAT64
        yield case(double, name, 4, entry.takes_context, np.float64)
        yield case(False, name, 4, False, np.float32)
        yield case(single, name, entry.least_dim, False, np.float32)


@pytest.mark.parametrize("name, dims, conditional, dtype", list(cases()))
def test_laws(name, dims, conditional, dtype):
    entry = BIJECTORS[name]
    double = dtype == np.float64
    with jax.enable_x64(double):
        x = events(entry.events, dims, dtype)
        context = events("line", 2, dtype, seed=1) if conditional else None
        check_bijector(
            entry.make(conditional),
            x,
            context,
            tolerance=entry.tolerance[double],
            eager=dims == entry.least_dim,
            borders=double,
        )


@pytest.mark.parametrize(
    "name", [n for n, e in BIJECTORS.items() if e.starts_as_identity and e.exact]
)
def test_starts_as_the_identity(name):
    entry = BIJECTORS[name]
    bijector = entry.make(False)
    x = jnp.asarray(events(entry.events, 3, np.float32))

    (y, log_det), _ = jax.jit(bijector.init_with_output)(jax.random.key(0), x)
    np.testing.assert_allclose(y, x, atol=1e-5)
    np.testing.assert_allclose(log_det, 0, atol=1e-5)


class Leaking(Bijector):
    """The identity, where NaN in one event would reach all of the batch."""

    def forward_and_log_det(self, x, context=None):
        return x + 0 * x.mean(0), zero_log_det(x)

    inverse_and_log_det = forward_and_log_det


class Unbounded(Bijector):
    """y = exp(x), whose inverse gives a density to numbers that are no image."""

    covers_line = False

    def forward_and_log_det(self, x, context=None):
        return jnp.exp(x), x.sum(-1)

    def inverse_and_log_det(self, y, context=None):
        x = jnp.log(jnp.maximum(y, jnp.finfo(y.dtype).tiny))
        return x, -x.sum(-1)


class Halved(Bijector):
    """The identity, which keeps half precision to itself."""

    def forward_and_log_det(self, x, context=None):
        return x.astype(jnp.bfloat16).astype(x.dtype), zero_log_det(x)

    inverse_and_log_det = forward_and_log_det


@pytest.mark.parametrize(
    "bijector, law",
    [
        (Leaking(), "doesn't change others"),
        (Unbounded(), "-inf where there is no image"),
        (Halved(), "inverse undoes the map"),
    ],
)
def test_a_broken_law_is_named(bijector, law):
    with pytest.raises(AssertionError, match=law):
        check_bijector(bijector, events("line", 2, np.float32), eager=False)
