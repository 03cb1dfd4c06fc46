"""The laws of scalar transforms, over the table of all of them.

One compiled program for each family and precision: a grid of inputs far out, at bounds
and a unit in the last place beside them, by parameters up to a standard deviation of 5.
The same programs show what is outside of a map's domain, NaN, and numbers up to 1e36.
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
FAR = [sign * 10.0**power for power in (6, 10, 13, 20, 30, 36) for sign in (1, -1)]


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


def measure(transform, raw, tangent, x, unusual):
    """Values and derivatives both ways, `raw [S, 1, P]` by `x [N]`.

    The `unusual [M]` inputs go with the others, into both directions.
    """
    forward, inverse = transform.forward_and_log_det, transform.inverse_and_log_det
    shape = raw.shape[0], x.size + unusual.size
    # Parameters of each point's own, so that gradients are, too.
    raw, tangent = (jnp.broadcast_to(a, (*shape, a.shape[-1])) for a in (raw, tangent))
    x = jnp.broadcast_to(jnp.concatenate([x, unusual]), shape)

    def total(map_):
        return jax.grad(lambda raw, x: sum(a.sum() for a in map_(raw, x)), (0, 1))

    y, log_det = forward(raw, x)
    at = jnp.where(jnp.arange(shape[1]) < shape[1] - unusual.size, y, x)
    back, log_det_back = inverse(raw, at)
    # At one and the same place the log-derivatives cancel.
    rest = forward(raw, back)[1] + log_det_back
    (_, slope) = jax.jvp(lambda x: forward(raw, x)[0], (x,), (jnp.ones_like(x),))

    def there_and_back(raw):
        return forward(raw, inverse(raw, at)[0])[0]

    moved = jax.jvp(there_and_back, (raw,), (tangent,))[1]
    # What the two parts of `moved` cancel to zero from.
    drift = jax.jvp(lambda raw: forward(raw, x)[0], (raw,), (tangent,))[1]
    gradients = total(forward)(raw, x), total(inverse)(raw, at)
    results = y, log_det, back, log_det_back, rest, slope, moved, drift, gradients
    count = shape[1] - unusual.size
    return (
        jax.tree.map(lambda a: a[:, :count], results),
        jax.tree.map(lambda a: a[:, count:], (results[:4], gradients)),
    )


def measured(transform, dtype, unusual):
    """The results of `measure`, and the inputs, in a precision."""
    rng = np.random.default_rng(0)
    shape = len(SPREADS), 1, transform.num_params
    raw = (rng.normal(size=shape) * np.reshape(SPREADS, (-1, 1, 1))).astype(np.float32)
    tangent = rng.normal(size=shape)
    x = inputs(transform, dtype)
    with jax.enable_x64(dtype == np.float64):
        results = jax.jit(lambda *a: measure(transform, *a))(
            raw.astype(dtype), tangent.astype(dtype), x, np.array(unusual, dtype)
        )
        return x, *jax.device_get(results)


# The exponential of 1e4 is the largest number, and what is judged by it overflows.
@pytest.mark.filterwarnings("ignore:overflow")
@pytest.mark.parametrize("name", FAMILIES)
def test_laws(name):
    transform = FAMILIES[name]()
    ends = [e for e in (*transform.domain, *transform.codomain) if np.isfinite(e)]
    unusual = [np.nan, *FAR, *ends, *(np.add.outer([-1e-3, 1e-3], ends).ravel())]
    found = {}
    for dtype in (np.float32, np.float64):
        x, results, found[dtype] = measured(transform, dtype, unusual)
        check_laws(transform, dtype, x, *results)
        check_borders(transform, np.array(unusual, dtype), *found[dtype])
    check_far_out(np.array(unusual), found[np.float32][0], found[np.float64][0])


def check_laws(
    transform, dtype, x, y, log_det, back, _, rest, slope, moved, drift, gradients
):
    """The map inverts, and log-determinants and gradients are those of the map."""
    results = y, log_det, back, rest, slope, moved, drift, gradients
    for leaf in jax.tree.leaves(results):
        assert leaf.dtype == dtype and np.isfinite(leaf).all()
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


def check_borders(transform, x, values, gradients):
    """NaN stays NaN; outside of the domain there is no density, and no gradient."""
    missing = np.isnan(x)
    y, log_det, back, log_det_back = values
    for interval, value, log_slope, (in_raw, in_x) in (
        (transform.domain, y, log_det, gradients[0]),
        (transform.codomain, back, log_det_back, gradients[1]),
    ):
        assert np.isnan(value[:, missing]).all()
        low, high = interval
        outside = (
            (x < low) | (x > high) | (np.isin(x, interval) & (not transform.closed))
        )
        outside &= ~missing & (not transform.goes_on)
        assert (np.isneginf(log_slope) == outside).all()
        assert np.isfinite(value[:, ~missing]).all()
        assert np.isfinite(log_slope[:, ~missing & ~outside]).all()
        assert np.isfinite(in_raw[:, ~missing]).all()
        assert np.isfinite(in_x[:, ~missing]).all()
        assert not in_raw[:, outside].any() and not in_x[:, outside].any()


def check_far_out(x, values, exact):
    """Float32 is right to a few digits wherever float64 has a number of its range."""
    for (y, log_det), (exact_y, exact_log_det) in (
        (values[:2], exact[:2]),
        (values[2:], exact[2:]),
    ):
        known = np.isfinite(x) & (np.abs(exact_y) < 1e37)
        np.testing.assert_allclose(y[known], exact_y[known], rtol=1e-4, atol=1e-4)
        known &= np.isfinite(exact_log_det)
        np.testing.assert_allclose(
            log_det[known], exact_log_det[known], rtol=1e-4, atol=1e-3
        )


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
