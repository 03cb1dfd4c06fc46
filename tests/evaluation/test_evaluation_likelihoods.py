"""Likelihoods, calibration and coverage equal closed forms."""

import numpy as np
import pytest
from scipy import stats

from nfml_jax.errors import UserError
from nfml_jax.evaluation import likelihoods

RNG = np.random.default_rng(0)


NORMAL = stats.norm()


def test_likelihood_and_divergence_of_gaussians_equal_closed_forms():
    x = RNG.normal(size=100_000)
    log_p, log_q = stats.norm.logpdf(x), stats.norm.logpdf(x, 1, 2)
    nll = likelihoods.negative_log_likelihood(log_p)
    entropy = 0.5 * np.log(2 * np.pi * np.e)
    assert nll["nll"] == pytest.approx(entropy, abs=4 * nll["nll_error"])
    assert nll["nll_error"] == pytest.approx(np.sqrt(0.5 / len(x)), rel=0.03)
    kl = likelihoods.kl_divergence(log_p, log_q)
    exact = np.log(2) + 2 / 8 - 0.5
    assert kl["kl"] == pytest.approx(exact, abs=4 * kl["kl_error"])
    assert likelihoods.kl_divergence(log_p, log_p)["kl"] == 0


def test_density_zero_gives_an_infinite_nll_without_error():
    nll = likelihoods.negative_log_likelihood([0.0, -np.inf])
    assert nll["nll"] == np.inf and np.isnan(nll["nll_error"])
    assert likelihoods.kl_divergence([0.0, 0.0], [0.0, -np.inf])["kl"] == np.inf
    assert np.isnan(likelihoods.negative_log_likelihood([1.0])["nll_error"])


def test_transforms_are_uniform_only_if_calibrated():
    z = RNG.normal(size=(5000, 2)) * [1, 0.5]
    found = likelihoods.pit_calibration(likelihoods.normal_pit(z))
    assert found["p_value"][0] > 1e-3 > 1e-9 > found["p_value"][1]
    assert found["histogram"].shape == (2, 20)
    np.testing.assert_allclose(found["histogram"].mean(1), 1)
    # An underconfident model's transforms crowd around ½.
    assert found["histogram"][1, 9] > 1.5 > 0.5 > found["histogram"][1, 0]
    u = np.linspace(0, 1, 20_001)
    share = (
        np.searchsorted(np.sort(likelihoods.normal_pit(z), 0)[:, 1], u, "right") / 5000
    )
    assert found["error"][1] == pytest.approx(np.abs(share - u).mean(), abs=1e-4)
    assert likelihoods.pit_calibration(np.full(3, 0.5))["error"][0] == pytest.approx(
        0.25
    )


def test_regions_of_the_true_density_cover_their_level():
    x, samples = RNG.normal(size=(2, 20_000))
    right = likelihoods.coverage(NORMAL.logpdf(x), NORMAL.logpdf(samples))
    off = np.abs(right["coverage"] - right["level"])
    assert (off < 4 * right["error"]).all()
    narrow = stats.norm(0, 0.5)
    sure = likelihoods.coverage(narrow.logpdf(x), narrow.logpdf(samples / 2), [0.5])
    exact = 2 * NORMAL.cdf(NORMAL.ppf(0.75) / 2) - 1
    assert sure["coverage"][0] == pytest.approx(exact, abs=0.02)
    flat = likelihoods.coverage(np.zeros(10), np.zeros(10), [0.3])
    assert flat["coverage"][0] == 1  # of a uniform density all regions are all of it


MISTAKES = {
    "NaN": lambda: likelihoods.negative_log_likelihood([0.0, np.nan]),
    "at least one point": lambda: likelihoods.negative_log_likelihood([]),
    "same points": lambda: likelihoods.kl_divergence([0.0], [0.0, 1.0]),
    "units": lambda: likelihoods.kl_divergence([-np.inf], [0.0]),
    "distribution function": lambda: likelihoods.pit_calibration([0.0, 2.0]),
    "between 0 and 1": lambda: likelihoods.coverage([0.0], [0.0], [1.0]),
}


@pytest.mark.parametrize("sentence", MISTAKES)
def test_bad_input_is_named(sentence):
    with pytest.raises(UserError, match=sentence):
        MISTAKES[sentence]()
