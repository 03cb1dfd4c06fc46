"""Divergences and draws of normals on a grid agree with their closed forms."""

import numpy as np
import pytest
from scipy import stats

from nfml_jax.variational import draws_on_grid, kl_on_grid

SIDE, CELLS = 12.0, 120
WIDTH = SIDE / CELLS
CENTRES = -SIDE / 2 + (np.arange(CELLS) + 0.5) * WIDTH
POINTS = np.stack(np.meshgrid(CENTRES, CENTRES), -1).reshape(-1, 2)


def log_normal(mean, scale):
    return stats.norm.logpdf(POINTS, mean, scale).sum(-1)


@pytest.mark.parametrize("log_z", [0.0, 3.0, -200.0])
def test_the_divergence_is_that_of_the_normalized_density(log_z):
    log_p, log_q = log_normal(0.0, 0.5), log_normal([0.4, 0.0], 0.7)
    exact = 2 * (np.log(0.7 / 0.5) - 0.5) + (2 * 0.5**2 + 0.4**2) / (2 * 0.7**2)
    assert kl_on_grid(log_p + log_z, log_q, WIDTH**2) == pytest.approx(exact, abs=1e-9)
    assert kl_on_grid(log_p + log_z, log_p, WIDTH**2) == pytest.approx(0, abs=1e-9)


def test_the_divergence_is_infinite_where_q_is_zero_but_not_p():
    log_p = np.where(POINTS[:, 0] > 0, log_normal(0.0, 0.5), -np.inf)
    log_q = log_normal(0.0, 0.5)
    assert kl_on_grid(log_p, log_q, WIDTH**2) == pytest.approx(np.log(2), abs=1e-9)
    assert kl_on_grid(log_q, log_p, WIDTH**2) == np.inf


def test_draws_have_the_density():
    draws = draws_on_grid(3, log_normal([1.0, -1.0], 0.5), POINTS, WIDTH, 4000)
    assert draws.shape == (4000, 2)
    for column, mean in zip(draws.T, (1.0, -1.0), strict=True):
        assert stats.kstest(column, stats.norm(mean, 0.5).cdf).pvalue > 1e-3
    np.testing.assert_array_equal(
        draws, draws_on_grid(3, log_normal([1.0, -1.0], 0.5), POINTS, WIDTH, 4000)
    )
