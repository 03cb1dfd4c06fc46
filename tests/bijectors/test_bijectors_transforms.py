"""The laws of scalar transforms, over the table of all of them.

One compiled program for each family and precision: a grid of distant inputs, at bounds
and a unit in the last place beside them, by parameters up to a standard deviation of 5.
The same programs show what is outside of a map's domain, NaN, and numbers up to 1e36.
"""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nfml_jax.bijectors import Bernstein, SumOfSquares
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

    def at(map_, x):
        """Return the map's values, their derivatives, and gradients of their sum."""
        values, along = jax.linearize(map_, raw, x)
        ones = jax.tree.map(jnp.ones_like, values)
        return values, along, jax.linear_transpose(along, raw, x)(ones)

    (y, log_det), along, gradient = at(forward, x)
    image = jnp.arange(shape[1]) < shape[1] - unusual.size
    z = jnp.where(image, y, x)
    (back, log_det_back), along_inverse, gradient_of_inverse = at(inverse, z)
    gradients = gradient, gradient_of_inverse
    # At one and the same place the log-derivatives cancel, and so do the derivatives
    # in the parameters of both ways, one after the other.
    (_, again), along_back = jax.linearize(forward, raw, back)
    rest = again + log_det_back
    zero = jnp.zeros_like(x)
    moved = along_back(tangent, along_inverse(tangent, zero)[0])[0]
    slope = along(jnp.zeros_like(raw), jnp.ones_like(x))[0]
    # What the two parts of `moved` cancel to zero from.
    drift = along(tangent, zero)[0]
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


# Their laws hold in float32, too, at each run; those of the others by --slow.
IN_FLOAT32 = ("affine", "rational_quadratic", "cubic_spline", "bernstein", "logit")
# A mixture of logistics and a cubic spline stand for them.
ALIKE = ("mixture_of_gaussians", "quadratic_spline")


def cases():
    """Yield each family with and without float32; what others stand for is slow."""
    for name in FAMILIES:
        fast = [] if name not in ALIKE else [pytest.mark.slow]
        if name in IN_FLOAT32:
            yield name, True
            continue
        yield pytest.param(name, False, marks=fast)
        yield pytest.param(name, True, marks=pytest.mark.slow)


# The exponential of 1e4 is the largest number, and errors relative to it overflow.
@pytest.mark.filterwarnings("ignore:overflow")
@pytest.mark.parametrize("name, single", list(cases()))
def test_laws(name, single):
    transform = FAMILIES[name]()
    ends = [e for e in (*transform.domain, *transform.codomain) if np.isfinite(e)]
    unusual = [np.nan, *FAR, *ends, *(np.add.outer([-1e-3, 1e-3], ends).ravel())]
    found = {}
    for dtype in (np.float64, np.float32) if single else (np.float64,):
        x, results, found[dtype] = measured(transform, dtype, unusual)
        check_laws(transform, dtype, x, *results)
        check_borders(
            transform, np.array(unusual, dtype), found[dtype], found[np.float64]
        )
    if single:
        check_far_out(transform, np.array(unusual), *(v[0] for v in found.values()))


def check_laws(
    transform, dtype, x, y, log_det, back, _, rest, slope, moved, drift, gradients
):
    """The map inverts, and log-determinants and gradients are those of the map."""
    results = y, log_det, back, rest, slope, moved, drift, gradients
    for leaf in jax.tree.leaves(results):
        assert leaf.dtype == dtype and np.isfinite(leaf).all()
    ulp = np.finfo(dtype).eps
    # Errors are compared to the effect of one rounding of x or y.
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


def outside_of(transform, interval, x):
    """Return where numbers lie outside of an interval that bounds the transform."""
    low, high = ends = np.array(interval, x.dtype)
    outside = (x < low) | (x > high) | (np.isin(x, ends) & (not transform.closed))
    return outside & (not transform.periodic)


def check_borders(transform, x, found, exact):
    """NaN stays NaN; outside of the domain there is no density, and no gradient.

    All else is finite, but for what `exact`, in float64, has beyond float32's range.
    """
    missing = np.isnan(x)
    # Of each point by itself, [S, M].
    sizes = [np.abs(np.where(np.isneginf(a), 0, a)) for a in jax.tree.leaves(exact)]
    largest = np.max([a.reshape(*a.shape[:2], -1).max(-1, initial=0) for a in sizes], 0)
    known = ~missing & (largest < 2e36)
    for leaf, same in zip(*map(jax.tree.leaves, (found, exact)), strict=True):
        assert (np.isfinite(leaf) | np.isneginf(same))[known].all()
    (y, log_det, back, log_det_back), gradients = found
    for interval, value, log_slope, derivatives in (
        (transform.domain, y, log_det, gradients[0]),
        (transform.codomain, back, log_det_back, gradients[1]),
    ):
        assert np.isnan(value[:, missing]).all()
        outside = outside_of(transform, interval, x)
        assert (np.isneginf(log_slope) == outside).all()
        assert np.isfinite(value[:, outside]).all()
        assert not any(leaf[:, outside].any() for leaf in derivatives)


def check_far_out(transform, x, exact, values):
    """Float32 is right to a few digits where float64 has a number of its range."""
    for interval, one, other in (
        (transform.domain, exact[:2], values[:2]),
        (transform.codomain, exact[2:], values[2:]),
    ):
        size = np.abs(one[0])
        known = np.isfinite(x) & (size < 1e37) & ((size > 1e-37) | (size == 0))
        known &= ~outside_of(transform, interval, x)
        for expected, value in zip(one, other, strict=True):
            np.testing.assert_allclose(
                value[known], expected[known], rtol=1e-4, atol=1e-3
            )


@pytest.mark.parametrize(
    "transform",
    [pytest.param(Bernstein(150), marks=pytest.mark.slow), SumOfSquares(2, 30)],
    ids=str,
)
def test_polynomials_of_high_degree(transform):
    """Float32 agrees with float64, where binomials and powers exceed its range."""
    rng = np.random.default_rng(0)
    raw = rng.normal(size=(4, 1, transform.num_params)).astype(np.float32)
    x = np.float32([-1e10, -3, -2.9, -1, 0, 0.1, 1.7, 3, 4, 1e30])
    found = []
    for dtype in (np.float32, np.float64):
        with jax.enable_x64(dtype == np.float64):
            given = raw.astype(dtype), x.astype(dtype)
            y, log_det = jax.jit(transform.forward_and_log_det)(*given)
            back, _ = jax.jit(transform.inverse_and_log_det)(given[0], y)
            # By how far the inverse's error moves y.
            found.append(jax.device_get((y, log_det, (back - x) * jnp.exp(log_det))))
    (y, log_det, moved), (exact_y, exact_log_det, _) = found
    np.testing.assert_allclose(y, exact_y, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(log_det, exact_log_det, atol=1e-3)
    assert (np.abs(moved) <= 1e-4 * (1 + np.abs(y))).all()


class TestVariants(chex.TestCase):
    """Transforms are pure functions: the same compiled, mapped and over devices."""

    @every_variant
    def test_forward(self):
        rng = np.random.default_rng(1)
        x = jnp.linspace(-4.0, 4.0, 9)
        families = {
            name: TRANSFORMS[name]() for name in ("affine", "rational_quadratic")
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
