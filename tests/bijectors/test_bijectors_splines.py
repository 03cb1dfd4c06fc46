"""Laws of splines beyond those of every bijector: exact ends, and exact arithmetic."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nfml_jax.bijectors import (
    CubicSpline,
    LinearSpline,
    QuadraticSpline,
    RationalQuadratic,
)
from nfml_jax.bijectors.transforms.spline_bins import find_bin
from nfml_jax.errors import UserError

B = 3.0
SPLINES = {
    f"{family.__name__}-{tails}": family(tails=tails)
    for family in (RationalQuadratic, QuadraticSpline, CubicSpline, LinearSpline)
    for tails in family.kinds_of_tails
}
# They stand for all in the search for numbers that are not finite.
FINITE = ("RationalQuadratic-box", "RationalQuadratic-circular")
each_spline = pytest.mark.parametrize("spline", SPLINES.values(), ids=SPLINES)


def random_raw(spline, n, std, dtype=np.float32):
    raw = np.random.default_rng(0).normal(size=(n, spline.num_params)) * std
    return raw.astype(dtype)


def beside(x):
    """`x`, and a unit in the last place above and below it."""
    far = np.float32(9)
    return np.concatenate([x, np.nextafter(x, far), np.nextafter(x, -far)])


def knots(spline, raw):
    """One of each spline's knots, where bins meet in x and where they meet in y."""
    within = raw[:, :-1] if spline.tails == "circular" else raw
    bins = spline.make_bins(jnp.asarray(within.T))
    near = np.random.default_rng(2).uniform(-B, B, len(raw)).astype(np.float32)
    sizes = zip((bins.widths, bins.heights), bins.least, strict=True)
    return [np.asarray(find_bin(size, near, B, least)[1]) for size, least in sizes]


def everything(spline):
    """(y, log_det) and gradients in raw and x, both ways, in one program."""

    def results(raw, x):
        both = {}
        for name in ("forward", "inverse"):
            map_ = getattr(spline, f"{name}_and_log_det")
            grads = jax.grad(lambda *a, f=map_: sum(v.sum() for v in f(*a)), (0, 1))
            both[name] = map_(raw, x), grads(raw, x)
        return both

    return jax.jit(results)


# With linear tails these are among the laws of transforms.
@pytest.mark.parametrize(
    "spline",
    [
        pytest.param(s, marks=[] if name in FINITE else [pytest.mark.slow])
        for name, s in SPLINES.items()
    ],
    ids=SPLINES,
)
def test_everything_is_finite_everywhere(spline):
    raw = random_raw(spline, 64, 5)
    ends = np.append(beside(np.float32([0, B, -B])), np.float32([1e30, -1e30]))
    in_x, in_y = knots(spline, raw)
    x = np.concatenate([np.repeat(ends, len(raw)), beside(in_x), beside(in_y)])
    raw = np.tile(raw, (len(x) // len(raw), 1))
    found = everything(spline)(raw, x)
    outside = (np.abs(x) > B) & (spline.tails == "box")
    for (y, log_det), gradients in found.values():
        assert (np.isneginf(log_det) == outside).all()
        finite = y, log_det[~outside], gradients
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(finite))
    for (y, log_det), (_, slope) in found.values():
        if spline.tails != "circular":  # which turns its ends elsewhere
            ends = np.abs(x) == B
            np.testing.assert_array_equal(y[ends], x[ends])
        if spline.tails == "box":
            np.testing.assert_array_equal(y[outside], B * np.sign(x[outside]))
            np.testing.assert_array_equal(slope[outside], 0)
        if spline.tails == "linear":
            out = np.abs(x) >= B
            np.testing.assert_array_equal(y[out], x[out])
            np.testing.assert_array_equal(log_det[out], 0)
            np.testing.assert_array_equal(slope[out], 1)


@each_spline
def test_zeros_are_the_identity(spline):
    x = np.linspace(-B, B, 101)[1:-1].astype(np.float32)
    raw = np.zeros(spline.num_params, np.float32)
    maps = spline.forward_and_log_det, spline.inverse_and_log_det
    for y, log_det in jax.jit(lambda *a: [map_(*a) for map_ in maps])(raw, x):
        np.testing.assert_allclose(y, x, rtol=0, atol=3e-7)
        np.testing.assert_allclose(log_det, 0, atol=1e-6)


@pytest.mark.parametrize(
    "spline",
    [
        pytest.param(s, marks=pytest.mark.slow if s.tails == "linear" else [])
        for s in SPLINES.values()
    ],
    ids=SPLINES,
)
def test_backward_error(spline):
    """The inverse undoes the map to a few units in the last place of y."""
    raw = random_raw(spline, 5000, 5)
    x = np.random.default_rng(1).uniform(-B, B, len(raw)).astype(np.float32)
    in_x, in_y = knots(spline, raw)
    raw, x = np.tile(raw, (5, 1)), np.concatenate([x, beside(in_x), in_y])
    y, log_det = jax.jit(spline.forward_and_log_det)(raw, x)
    back, log_det_back = jax.jit(spline.inverse_and_log_det)(raw, y)
    error = np.abs(np.asarray(back, float) - x)
    if spline.tails == "circular":
        error = np.minimum(error, 2 * B - error)
    # A cubic's slope may fall a hundredfold within the last place of x below a knot.
    slope = np.exp(np.minimum(log_det, -log_det_back))
    assert np.max(error * slope) < 4e-6


def test_closed_derivatives():
    """Derivatives of the rational-quadratic curve equal central differences."""
    spline = RationalQuadratic(tails="box")
    rng = np.random.default_rng(0)
    raw, d_raw = rng.normal(size=(2, 500, spline.num_params))
    x = rng.uniform(-B, B, 500)
    step = 1e-6
    with jax.enable_x64(True):
        for map_ in map(
            jax.jit, (spline.forward_and_log_det, spline.inverse_and_log_det)
        ):
            moved = jax.jvp(map_, (raw, x), (d_raw, x))[1]
            ahead, behind = (map_(raw + s * d_raw, x + s * x) for s in (step, -step))
            for by_rule, one, other in zip(moved, ahead, behind, strict=True):
                differences = (one - other) / (2 * step)
                np.testing.assert_allclose(by_rule, differences, rtol=1e-5, atol=1e-5)


def test_slope_of_linear_tails_is_continuous():
    spline = RationalQuadratic()
    raw = random_raw(spline, 50, 1)
    for x in (B * (1 - 1e-6), -B * (1 - 1e-6)):
        _, log_det = jax.jit(spline.forward_and_log_det)(raw, jnp.full(50, x))
        np.testing.assert_allclose(log_det, 0, atol=2e-2)


def test_circular_splines_are_continuous_at_the_ends():
    """Slopes agree where the ends meet, and a turn takes points past them."""
    spline = RationalQuadratic(tails="circular")
    raw = random_raw(spline, 50, 1)
    ends = np.array([[-B], [B]], np.float32)
    y, log_det = spline.forward_and_log_det(raw, ends)
    np.testing.assert_allclose(log_det[0], log_det[1], atol=1e-4)
    np.testing.assert_allclose(np.mod(y[0] - y[1] + B, 2 * B), B, atol=1e-5)
    assert (np.abs(y) <= B).all()


def test_invalid_options_raise_one_sentence():
    for arguments in (
        {"tails": "cubic"},
        {"bins": 0},
        {"bound": -1.0},
        {"bins": 8, "min_width": 0.2},
    ):
        with pytest.raises(UserError, match="RationalQuadratic got"):
            RationalQuadratic(**arguments)
