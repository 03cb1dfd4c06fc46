"""The laws of scalar transforms, over the table of all of them.

One compiled program for each family and precision: a grid of inputs far out, at bounds
and a unit in the last place beside them, by parameters up to a standard deviation of 5.
"""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nfml_jax.bijectors.transforms import DOMAIN_MAPS, TRANSFORMS
from tests.variants import check_variants, every_variant

FAMILIES = TRANSFORMS | DOMAIN_MAPS
SPREADS = (0.0, 1.0, 5.0, 5.0, 5.0)


def inputs(transform, dtype):
    low, high = transform.domain
    if np.isinf(low):
        bound = getattr(transform, "bound", 3.0)
        marks = [0.0, 1e-6, 0.3, 1.0, bound, 100.0, 1e4]
        x = np.array([*marks, *np.negative(marks)], dtype)
    else:
        x = (low + (high - low) * np.array([1e-3, 0.2, 0.5, 0.8])).astype(dtype)
    beside = np.concatenate([np.nextafter(x, dtype(low)), np.nextafter(x, dtype(high))])
    return np.unique(np.clip(np.concatenate([x, beside]), dtype(low), dtype(high)))


def measure(transform, raw, tangent, x):
    """Values and derivatives both ways, `raw [S, 1, P]` by `x [N]`."""
    forward, inverse = transform.forward_and_log_det, transform.inverse_and_log_det
    x = jnp.broadcast_to(x, (raw.shape[0], x.size))

    def total(map_):
        return jax.grad(lambda raw, x: sum(a.sum() for a in map_(raw, x)), (0, 1))

    y, log_det = forward(raw, x)
    back, log_det_back = inverse(raw, y)
    # At one and the same place the log-derivatives cancel.
    rest = forward(raw, back)[1] + log_det_back
    (_, slope) = jax.jvp(lambda x: forward(raw, x)[0], (x,), (jnp.ones_like(x),))

    def there_and_back(raw):
        return forward(raw, inverse(raw, y)[0])[0]

    moved = jax.jvp(there_and_back, (raw,), (tangent,))[1]
    # What the two parts of `moved` cancel to zero from.
    drift = jax.jvp(lambda raw: forward(raw, x)[0], (raw,), (tangent,))[1]
    gradients = total(forward)(raw, x), total(inverse)(raw, y)
    return y, log_det, back, rest, slope, moved, drift, gradients


@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["32", "64"])
# The exponential of 1e4 is the largest number, and what is judged by it overflows.
@pytest.mark.filterwarnings("ignore:overflow")
@pytest.mark.parametrize("name", FAMILIES)
def test_laws(name, dtype):
    transform = FAMILIES[name]()
    rng = np.random.default_rng(0)
    shape = len(SPREADS), 1, transform.num_params
    raw = rng.normal(size=shape) * np.reshape(SPREADS, (-1, 1, 1))
    tangent = rng.normal(size=shape)
    x = inputs(transform, dtype)
    with jax.enable_x64(dtype == np.float64):
        results = jax.jit(lambda *a: measure(transform, *a))(
            raw.astype(dtype), tangent.astype(dtype), x
        )
        results = jax.device_get(results)
    for leaf in jax.tree.leaves(results):
        assert leaf.dtype == dtype and np.isfinite(leaf).all()
    y, log_det, back, rest, slope, moved, drift, _ = results
    ulp = np.finfo(dtype).eps
    # Everything is judged by what one rounding of x or y may do.
    size = np.abs(y) + np.exp(log_det) * np.abs(x) + 1
    steep = np.exp(log_det)
    assert (np.abs(back - x) * steep <= 1024 * ulp * size).all()
    # Where the map saturates, the value kept within the codomain has no slope.
    clear = steep > 1024 * ulp * size
    assert np.allclose(np.log(slope[clear]), log_det[clear], atol=4096 * ulp)
    assert np.allclose(rest[clear], 0, atol=4096 * ulp)
    assert (np.abs(moved) <= 4096 * ulp * (size + np.abs(drift))).all()
    gap = np.diff(y, axis=-1)
    assert (gap >= -1024 * ulp * size[:, 1:]).all()
    rise = np.minimum(steep[:, 1:], steep[:, :-1]) * np.diff(x)
    assert (gap[rise > 4096 * ulp * size[:, 1:]] > 0).all()
    if transform.has_identity:
        assert np.allclose(y[0], x, rtol=64 * ulp, atol=64 * ulp)
        assert np.allclose(log_det[0], 0, atol=64 * ulp)


class TestVariants(chex.TestCase):
    """Transforms are pure functions: the same compiled, mapped and over devices."""

    @every_variant
    def test_forward(self):
        rng = np.random.default_rng(1)
        x = jnp.linspace(-4.0, 4.0, 9)
        families = {
            name: TRANSFORMS[name]()
            for name in ("affine", "rational_quadratic", "bernstein")
        }
        raw = {
            name: jnp.asarray(rng.normal(size=(9, family.num_params)), jnp.float32)
            for name, family in families.items()
        }

        def forward(raw, x):
            return {
                name: family.forward_and_log_det(raw[name], x)
                for name, family in families.items()
            }

        check_variants(self.variant, forward, jax.vmap(forward), raw, x)
