"""The ledger of bits per dimension against closed forms, offsets and errors."""

import math

import jax
import numpy as np
import pytest
from scipy.special import logit, ndtr
from scipy.stats import norm

from nfml_jax.bijectors import Dequantize
from nfml_jax.data import load
from nfml_jax.errors import UserError
from nfml_jax.evaluation import pixel_gaussian
from nfml_jax.evaluation.bits_per_dim import Ledger, logit_log_det
from nfml_jax.evaluation.pixel_baselines import (
    BASELINES,
    SMOOTHING,
    trivial_baselines,
)

SHAPE = 3, 2, 1
D = 6


def bits(*, density, **options):
    ledger = Ledger(SHAPE, **options)
    ledger.add(density=density)
    return ledger.result().mean


def test_the_offset_of_each_range_of_the_data():
    """A density of one (0 nats) shows the offset alone."""
    nothing = np.zeros(4)
    assert bits(density=nothing, step=1 / 256) == pytest.approx(8)
    assert bits(density=nothing, step=2 / 256) == pytest.approx(7)
    assert bits(density=nothing, step=1 / 127.5) == pytest.approx(6.99435, abs=1e-5)
    assert bits(density=nothing, levels=32, step=1 / 32) == pytest.approx(5)
    assert bits(density=nothing, step=1 / 255) == pytest.approx(math.log2(255))


def test_one_density_in_all_units_gives_the_same_bits():
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (5, *SHAPE))
    pixels = x + rng.uniform(0.01, 0.99, x.shape)
    mean, deviation = 100.0, 60.0

    def log_normal(values, center, scale):
        return norm.logpdf(values, center, scale).sum(axis=(1, 2, 3))

    expected = bits(density=log_normal(pixels, mean, deviation))
    units = log_normal(pixels / 256, mean / 256, deviation / 256)
    assert bits(density=units, step=1 / 256) == pytest.approx(expected)
    centered = log_normal(pixels / 128 - 1, mean / 128 - 1, deviation / 128)
    assert bits(density=centered, step=2 / 256) == pytest.approx(expected)
    by_255 = log_normal(pixels / 127.5 - 1, mean / 127.5 - 1, deviation / 127.5)
    assert bits(density=by_255, step=1 / 127.5) == pytest.approx(expected)
    # The density of dequantized pixels, with the term of the map as a term of its own.
    term = np.full(5, -D * math.log(256))
    ledger = Ledger(SHAPE)
    ledger.add(density=units, dequantize=term)
    assert ledger.result().mean == pytest.approx(expected)
    # And the density of logits, for any alpha.
    for alpha in (1e-6, 0.05):
        log_det = logit_log_det(pixels / 256, alpha)
        z = logit(alpha + (1 - 2 * alpha) * pixels / 256)
        step = 1e-6
        ahead = logit(alpha + (1 - 2 * alpha) * (pixels / 256 + step))
        slope = np.log((ahead - z) / step).sum(axis=(1, 2, 3))
        np.testing.assert_allclose(log_det, slope, rtol=1e-3)
        ledger = Ledger(SHAPE, step=1 / 256, alpha=alpha)
        ledger.add(density=units - log_det, logit=log_det)
        assert ledger.result().mean == pytest.approx(expected)
        assert ledger.result().facts["alpha"] == alpha


def test_terms_add_up_and_batches_do_not_matter():
    rng = np.random.default_rng(0)
    base, maps = rng.normal(size=(2, 7, 10))
    whole, parts = (Ledger(SHAPE, step=1 / 256, samples=7) for _ in range(2))
    whole.add(base=base, maps=maps)
    parts.add(base=base[:, :4], maps=maps[:, :4])
    parts.add(base=base[:, 4:], maps=maps[:, 4:])
    one, two = whole.result(), parts.result()
    np.testing.assert_allclose(one.per_image, two.per_image)
    assert one.mean == pytest.approx(sum(one.terms.values()))
    assert one.terms["importance"] < 0  # it makes the bound tighter
    assert one.kind == "7-sample bound"
    error = one.per_image.std(ddof=1) / math.sqrt(10)
    assert one.standard_error == pytest.approx(error)
    assert one.metrics() == {
        "test/bits_per_dim": one.mean,
        "test/bits_per_dim_se": one.standard_error,
    }


def test_more_samples_give_a_tighter_bound_of_the_exact_probability():
    """The case is one pixel of 4 levels whose dequantized value is normal."""
    levels, images = 4, 4000
    x = np.arange(levels).repeat(images // levels).reshape(-1, 1, 1, 1)
    scale = 0.15
    ends = (np.arange(levels + 1) / levels - 0.5) / scale
    exact = -np.log2(np.diff(ndtr(ends))).mean()
    found = []
    for samples in (1, 4, 16, 64):
        keys = jax.random.split(jax.random.key(0), samples)
        term = np.zeros((samples, images))
        density = np.zeros_like(term)
        for i, key in enumerate(keys):
            y, term[i] = Dequantize(levels=levels).apply({}, x, key=key)
            density[i] = norm.logpdf(np.asarray(y).ravel(), 0.5, scale)
        ledger = Ledger((1, 1, 1), levels=levels, samples=samples)
        ledger.add(density=density, dequantize=term)
        found.append(ledger.result().mean)
    assert found == sorted(found, reverse=True)
    assert found[0] > exact + 0.1
    assert found[-1] == pytest.approx(exact, abs=0.01)


def test_padding_does_not_count_and_crops_do():
    density = np.full(3, -8.0)
    plain = bits(density=density)
    assert bits(density=density, padded=10) == pytest.approx(plain)
    # A crop costs all bits of its pixels.
    cropped = bits(density=density, step=1 / 256, cropped=2)
    full = bits(density=density - 2 * math.log(256), step=1.0) * D
    assert cropped * D == pytest.approx(full + 4 * 8)
    assert bits(density=np.zeros(3), step=1 / 256, cropped=6) == pytest.approx(8)


def test_a_value_that_is_not_finite_is_named_and_not_left_out():
    ledger = Ledger(SHAPE, samples=2)
    density = np.zeros((2, 10))
    density[0, 3] = np.nan
    density[:, 7] = -np.inf
    ledger.add(density=density)
    result = ledger.result()
    assert math.isnan(result.mean) and math.isnan(result.standard_error)
    np.testing.assert_array_equal(result.not_finite, [3, 7])
    assert "not finite: image 3, 7" in str(result)
    assert result.summary()["not_finite"] == [3, 7]
    # One draw without density is no harm, where another has some.
    ledger = Ledger(SHAPE, samples=2)
    ledger.add(density=[[0.0, -np.inf], [0.0, 0.0]])
    assert math.isfinite(ledger.result().mean)


@pytest.mark.parametrize(
    ("options", "terms", "sentence"),
    [
        ({}, [{}], "no terms"),
        ({}, [{"a": [0.0]}, {"b": [0.0]}], "the terms b after a"),
        ({}, [{"a": [0.0], "b": [0.0, 1.0]}], r"terms of \[1, 2\] images"),
        ({"samples": 3}, [{"a": [0.0]}], r"expected \[3, N\]"),
        ({}, [], "has no images"),
        ({"samples": 2, "exact": True}, [], "samples=2"),
        ({"cropped": 7}, [], r"cropped=7; expected an integer in \[0, 6\]"),
        ({"step": 0.0}, [], "step=0.0"),
    ],
)
def test_terms_that_do_not_add_up_get_a_sentence(options, terms, sentence):
    with pytest.raises(UserError, match=sentence):
        ledger = Ledger(SHAPE, **options)
        for batch in terms:
            ledger.add(**batch)
        ledger.result()


def test_baselines_equal_their_closed_forms():
    rng = np.random.default_rng(0)
    x = rng.integers(0, 17, (4000, 2, 1, 1))
    x[:, 1] = x[:, 0] // 2
    train, test = x[:3000], x[3000:]
    found = trivial_baselines(train, test, 17)
    assert list(found) == list(BASELINES)
    assert found["uniform"].mean == pytest.approx(math.log2(17))
    both = (math.log2(17) + (math.log2(17) - 2 * 8 / 17)) / 2
    assert found["pixel_histograms"].mean == pytest.approx(both, abs=0.02)
    assert found["pixel_histograms"].mean < found["histogram"].mean
    assert found["histogram"].kind == "exact" and found["gaussian"].kind == "bound"
    counts = np.bincount(train.ravel(), minlength=17) + 1
    expected = -np.log2(counts / counts.sum())[test].mean()
    assert found["histogram"].mean == pytest.approx(expected)
    # The Gaussian's bound, by many draws of the noise.
    rows = train.reshape(-1, 2) + 0.5
    covariance = np.cov(rows.T, bias=True) + np.eye(2) / 12
    noisy = (test.reshape(-1, 2)[:, None] + rng.random((1000, 200, 2))).reshape(-1, 2)
    z = np.linalg.solve(np.linalg.cholesky(covariance), (noisy - rows.mean(0)).T)
    log_det = np.linalg.slogdet(2 * math.pi * covariance)[1]
    drawn = ((z**2).sum(0).mean() + log_det) / 2 / 2 / math.log(2)
    assert found["gaussian"].mean == pytest.approx(drawn, abs=0.005)
    assert math.isnan(found["bz2"].standard_error)
    assert SMOOTHING > 0


def test_a_ledger_of_estimates_says_so_and_takes_one_draw():
    ledger = Ledger((1, 1, 1), levels=2, estimated=True)
    ledger.add(density=[0.0, 1.0])
    assert ledger.result().kind == "estimated bound"
    with pytest.raises(UserError, match="estimated log-determinants got samples=2"):
        Ledger((1, 1, 1), levels=2, estimated=True, samples=2)


def test_a_gaussian_of_few_images_is_shrunk_by_images_held_out():
    rng = np.random.default_rng(0)
    shade = rng.integers(0, 200, (500, 1, 1, 1))
    x = shade + rng.integers(0, 40, (500, 6, 8, 1))
    train, test = x[:40], x[40:]
    found = pixel_gaussian.gaussian(train, test)
    # Fewer images than numbers: the likeliest normal is flat where these have none.
    assert found.facts["shrinkage"] > 0 and found.mean < 6
    rows = train.reshape(40, -1)
    flat = -pixel_gaussian._Shrunk.of(rows).bounds(test.reshape(460, -1), 0.0).mean()
    assert flat / 48 / math.log(2) > 30
    # Of many images it is the likeliest one, which both forms give.
    many = pixel_gaussian.gaussian(x[:480], x[480:])
    every = pixel_gaussian._Shrunk.of(x[:480].reshape(480, -1))
    same = -every.bounds(x[480:].reshape(20, -1), 0.0).mean() / 48 / math.log(2)
    assert many.facts["shrinkage"] == 0 and many.mean == pytest.approx(same)


def test_images_that_do_not_fit_are_a_sentence():
    digits = np.full((3, 8, 8, 1), 16, np.uint8)
    with pytest.raises(UserError, match=r"range from 16 to 16.*set levels to 17"):
        trivial_baselines(digits, digits, 16)
    with pytest.raises(UserError, match="give images of one size"):
        trivial_baselines(digits, digits[:, :4], 17)


@pytest.mark.slow
def test_baselines_of_mnist():
    try:
        mnist = load("mnist", source="manual")
    except UserError as error:
        pytest.skip(str(error))
    found = trivial_baselines(mnist.train.images, mnist.test.images)
    expected = {
        "uniform": 8,
        "histogram": 1.967,
        "pixel_histograms": 1.689,
        "gaussian": 5.284,
        "zlib": 1.635,
        "bz2": 1.415,
    }
    assert {name: round(x.mean, 3) for name, x in found.items()} == expected
