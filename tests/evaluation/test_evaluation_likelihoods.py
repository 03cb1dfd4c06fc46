"""Measures of fit agree with what is known exactly, and find what is wrong."""

import numpy as np
import pytest
from scipy import stats
from sklearn.linear_model import LogisticRegression

from nfml_jax.errors import UserError
from nfml_jax.evaluation import likelihoods, two_samples

RNG = np.random.default_rng(0)
NORMAL = stats.norm()


def test_likelihood_and_divergence_of_normals_are_as_known():
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


def test_density_zero_is_an_infinite_likelihood_and_no_error():
    nll = likelihoods.negative_log_likelihood([0.0, -np.inf])
    assert nll["nll"] == np.inf and np.isnan(nll["nll_error"])
    assert likelihoods.kl_divergence([0.0, 0.0], [0.0, -np.inf])["kl"] == np.inf
    assert np.isnan(likelihoods.negative_log_likelihood([1.0])["nll_error"])


def shifted(shift, n=600, d=3):
    return RNG.normal(size=(n, d)), RNG.normal(size=(n + 50, d)) + shift


def test_a_classifier_tells_only_different_samples_apart():
    same = two_samples.classifier_two_sample_test(*shifted(0))
    assert abs(same["accuracy"] - 0.5) < 0.06 and same["p_value"] > 1e-3
    far = two_samples.classifier_two_sample_test(*shifted(3), max_rows=200)
    assert far["accuracy"] > 0.95 and far["p_value"] < 1e-6
    # A shift of 1 in one dimension: the best possible accuracy is Φ(½).
    best = two_samples.classifier_two_sample_test(
        *shifted(1, 4000, 1), max_rows=4000, classifier=LogisticRegression()
    )
    assert best["accuracy"] == pytest.approx(
        NORMAL.cdf(0.5), abs=4 * best["accuracy_error"]
    )


def test_mmd_is_that_of_its_definition_whatever_the_tiles(monkeypatch):
    a, b = shifted(0.3, 70)
    width = 1.3

    def k(x, y):
        return np.exp(-((x[:, None] - y) ** 2).sum(-1) / (2 * width**2))

    n = 60
    a, b = a[:n], b[:n]
    within = sum(k(x, x).sum() - n for x in (a, b)) / (n * (n - 1))
    across = k(a, b)
    across = 2 * (across.sum() - np.trace(across)) / (n * (n - 1))
    for tile in (7, 60, 1024):
        monkeypatch.setattr(two_samples, "TILE", tile)
        # Pairing rows leaves the diagonal of the cross term out, as its rows are drawn.
        monkeypatch.setattr(two_samples, "_equally_many", lambda *_: (a, b))
        found = two_samples.maximum_mean_discrepancy(a, b, bandwidth=width)
        assert found["mmd2"] == pytest.approx(within - across, rel=1e-9)


def test_mmd_is_unbiased_and_its_error_is_right_where_samples_are_alike():
    values = [
        two_samples.maximum_mean_discrepancy(*shifted(0, 100)) for _ in range(200)
    ]
    mmd2 = np.array([v["mmd2"] for v in values])
    error = np.mean([v["mmd2_error"] for v in values])
    assert abs(mmd2.mean()) < 4 * error / np.sqrt(len(mmd2))
    assert mmd2.std() == pytest.approx(error, rel=0.3)
    assert two_samples.maximum_mean_discrepancy(*shifted(1, 100))["p_value"] < 1e-6
    assert two_samples.maximum_mean_discrepancy(np.ones((5, 2)), np.ones((5, 2)))


def test_marginal_ks_finds_the_column_that_differs():
    a, b = shifted([0, 0.5, 0], 2000)
    found = two_samples.marginal_ks(a, b)
    assert found["statistic"].shape == (3,)
    assert found["p_value"][1] < 1e-6 < 1e-3 < found["p_value"][[0, 2]].min()
    # The distance of two normals' distribution functions, half a unit apart.
    exact = NORMAL.cdf(0.25) - NORMAL.cdf(-0.25)
    assert found["statistic"][1] == pytest.approx(exact, abs=0.05)


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


def test_regions_cover_as_much_as_they_claim():
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
    "at least 10": lambda: two_samples.classifier_two_sample_test(*shifted(0, 9)),
    "dimensions": lambda: two_samples.marginal_ks(np.ones((3, 2)), np.ones((3, 1))),
    "two or more": lambda: two_samples.maximum_mean_discrepancy([[0.0]], [[1.0]]),
    "distribution function": lambda: likelihoods.pit_calibration([0.0, 2.0]),
    "between 0 and 1": lambda: likelihoods.coverage([0.0], [0.0], [1.0]),
}


@pytest.mark.parametrize("sentence", MISTAKES)
def test_mistakes_are_sentences(sentence):
    with pytest.raises(UserError, match=sentence):
        MISTAKES[sentence]()


def test_samples_far_from_zero_are_compared_by_their_differences():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(200, 2)), rng.normal(size=(200, 2)) + 1
    away = np.array([1e9, -1e12])
    near, far = (
        (
            two_samples.marginal_ks(x, y)["statistic"],
            two_samples.maximum_mean_discrepancy(x, y)["mmd2"],
        )
        for x, y in ((a, b), (a + away, b + away))
    )
    np.testing.assert_allclose(near[0], far[0], atol=0.02)
    assert near[1] == pytest.approx(far[1], rel=1e-2)
