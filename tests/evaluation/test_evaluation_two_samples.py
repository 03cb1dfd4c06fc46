"""Two-sample tests find differences, and only those."""

import numpy as np
import pytest
from scipy import stats
from sklearn.linear_model import LogisticRegression

from nfml_jax.errors import UserError
from nfml_jax.evaluation import two_samples

RNG = np.random.default_rng(0)


NORMAL = stats.norm()


def shifted(shift, n=600, d=3):
    return RNG.normal(size=(n, d)), RNG.normal(size=(n + 50, d)) + shift


def test_a_classifier_distinguishes_only_different_samples():
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


def test_mmd_equals_its_definition_for_any_tile(monkeypatch):
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


def test_mmd_is_unbiased_and_its_error_is_right_under_the_null():
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


MISTAKES = {
    "at least 10": lambda: two_samples.classifier_two_sample_test(*shifted(0, 9)),
    "dimensions": lambda: two_samples.marginal_ks(np.ones((3, 2)), np.ones((3, 1))),
    "two or more": lambda: two_samples.maximum_mean_discrepancy([[0.0]], [[1.0]]),
}


@pytest.mark.parametrize("sentence", MISTAKES)
def test_bad_input_is_named(sentence):
    with pytest.raises(UserError, match=sentence):
        MISTAKES[sentence]()
