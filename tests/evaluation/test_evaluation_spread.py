"""Alignment, uniformity, hubness and spectrum decay equal their definitions."""

import numpy as np
import pytest
from scipy import stats

from nfml_jax.errors import UserError
from nfml_jax.evaluation import spread
from tests.evaluation.rows import degrees, example


def all_pairs(x, labels):
    """Squared distances [P] of all pairs of unit rows, and whether of one class."""
    units = np.float64(x) / np.linalg.norm(x, axis=1, keepdims=True)
    i, j = np.triu_indices(len(x), 1)
    return np.sum((units[i] - units[j]) ** 2, axis=1), labels[i] == labels[j]


def test_alignment_and_uniformity_are_means_over_pairs():
    x, labels, _ = example()
    squares, same = all_pairs(x, labels)
    assert spread.alignment(x, labels) == pytest.approx(squares[same].mean())
    expected = np.log(np.mean(np.exp(-2 * squares)))
    for chunk in (50, 203):
        assert spread.uniformity(x, chunk=chunk) == pytest.approx(expected, rel=1e-5)
    assert spread.uniformity(np.ones((9, 3))) == pytest.approx(0, abs=1e-6)
    assert spread.alignment(np.ones((9, 3)), [0] * 9) == 0


@pytest.mark.parametrize("k", [1, 10])
def test_hubness_is_the_skewness_of_occurrences_among_neighbors(k):
    x, _, _ = example()
    every = degrees(x, x) + 999 * np.eye(len(x))
    nearest = np.argsort(every, axis=1)[:, :k]
    expected = stats.skew(np.bincount(nearest.ravel(), minlength=len(x)))
    assert spread.hubness(x, k) == pytest.approx(expected)
    assert spread.hubness(np.eye(4), 3) == 0
    assert np.isfinite(spread.hubness(np.ones((9, 3)), 2))


@pytest.mark.parametrize("shape", [(203, 5), (4, 5)])
def test_spectrum_decay_is_the_divergence_from_equal_singular_values(shape):
    x = example()[0][: shape[0]]
    units = np.float64(x) / np.linalg.norm(x, axis=1, keepdims=True)
    values = np.linalg.svd(units, compute_uv=False)
    expected = stats.entropy(np.ones(len(values)), values)
    assert spread.spectrum_decay(x) == pytest.approx(expected, rel=1e-4)
    assert spread.spectrum_decay(np.eye(5)) == pytest.approx(0)
    assert spread.spectrum_decay(np.ones((9, 5))) == np.inf


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: spread.alignment(np.eye(3), [0, 1, 2]), "only one of its class"),
        (lambda: spread.uniformity(np.eye(1)), "two or more"),
        (lambda: spread.hubness(np.eye(3), 3), "k is 3; expected 1 to 2"),
        (lambda: spread.spectrum_decay(np.eye(3) * np.nan), "not finite"),
    ],
)
def test_bad_input_is_named(call, says):
    with pytest.raises(UserError, match=says):
        call()
