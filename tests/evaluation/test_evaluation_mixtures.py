"""Gaussians and mixtures equal closed forms, and fit rows that have them."""

import numpy as np
import pytest
from scipy import stats

from nfml_jax.evaluation.mixtures import (
    Mixture,
    fit_classes,
    fit_gaussian,
    fit_mixture,
)

RNG = np.random.default_rng(0)
ROOT = np.array([[1.0, 0, 0], [0.5, 1, 0], [-1, 0.3, 0.5]])
NORMAL = 3 + RNG.normal(size=(4000, 3)) @ ROOT.T


def test_a_gaussian_has_maximum_likelihood():
    fitted = fit_gaussian(NORMAL)
    covariance = np.cov(NORMAL.T, bias=True)
    expected = stats.multivariate_normal(NORMAL.mean(0), covariance)
    found = fitted.log_prob(NORMAL[:9])
    np.testing.assert_allclose(found, expected.logpdf(NORMAL[:9]), atol=1e-4)


def test_conditioning_divides_by_the_density_of_the_condition():
    x, given = NORMAL[:9, :2], NORMAL[:9, 2:]
    whole, last = fit_gaussian(NORMAL), fit_gaussian(NORMAL[:, 2:])
    expected = whole.log_prob(NORMAL[:9]) - last.log_prob(given)
    np.testing.assert_allclose(whole.log_prob(x, given), expected, atol=1e-4)
    # One-hot columns have a singular covariance, which cancels.
    kinds = np.eye(2)[np.arange(4000) % 2]
    rows = np.concatenate([NORMAL, kinds], axis=1)
    found = fit_gaussian(rows).log_prob(NORMAL, kinds).mean()
    assert found == pytest.approx(whole.log_prob(NORMAL).mean(), abs=0.01)


@pytest.mark.parametrize("validated", [True, False])
def test_a_mixture_finds_the_number_of_components(validated):
    apart = RNG.normal(size=(400, 2)) + 9 * np.eye(2)[np.arange(400) % 2]
    held_out = apart[200:] if validated else None
    assert fit_mixture(apart[:200], held_out).components == 2
    assert fit_mixture(NORMAL[:500], NORMAL[500:]).components == 1


def test_wide_rows_get_diagonal_covariances():
    wide, fresh = RNG.normal(size=(2, 100, 70)) * np.arange(1, 71)
    mixture = fit_mixture(np.concatenate([wide, wide + 500]), fresh)
    assert mixture.covariances.shape[1:] == (70,) and mixture.components > 1
    assert np.isfinite(mixture.log_prob(wide)).all()


def test_each_class_has_its_density():
    labels = np.arange(4000) % 3
    rows = NORMAL + 5 * labels[:, None]
    fitted = fit_classes(fit_gaussian, rows, labels, 3)
    joint = fitted.log_joint(rows[:99])
    own = fitted.log_prob(rows[:99], labels[:99])
    np.testing.assert_allclose(
        own, joint[np.arange(99), labels[:99]] - fitted.log_prior[labels[:99]]
    )
    lone = fit_classes(fit_mixture, rows[:61], labels[:61], 3, rows, labels)
    assert all(isinstance(density, Mixture) for density in lone.of_class)
