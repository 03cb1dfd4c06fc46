"""Columns that have no density are found by kind and named with the way out."""

import warnings

import numpy as np
import pytest

from nfml_jax.data.vectors.load import load_vectors
from nfml_jax.errors import UserError
from nfml_jax.tables.steps import grid_step

RNG = np.random.default_rng(0)
X = RNG.normal(size=(500, 3))
SHARES = RNG.dirichlet([1, 2, 3, 4], size=500)


def beside(*columns):
    return np.column_stack([X, *columns])


def load(tmp_path, rows, **options):
    names = [chr(ord("a") + i) for i in range(rows.shape[1])]
    np.savez(tmp_path / "t.npz", x=rows, columns=names)
    return load_vectors("vectors", path=tmp_path / "t.npz", **options)


DOUBTFUL = {
    "determined by others: d = 2a \\+ b;": beside(2 * X[:, 0] + X[:, 1]),
    "determined by others: d = a - 3b \\+ 7;": beside(X[:, 0] - 3 * X[:, 1] + 7),
    "determined by others: d = 0.333a \\+ 0.333b \\+ 0.333c;": beside(X.mean(1)),
    "determined by others: a \\+ b \\+ c \\+ d = 1;": SHARES.round(3),
    "determined by others: a \\+ b \\+ c \\+ d = 100;": 100 * SHARES.round(2),
    "repeated: d as a": beside(1e-9 * X[:, 0] + 5),
    "nearly discrete: d .*steps of 1.*jitter=steps": beside(RNG.poisson(5, 500)),
    "nearly discrete: d .*steps of 0.25": beside(RNG.poisson(5, 500) / 4),
    "nearly discrete: d .5 values, steps of 1": beside(np.arange(500) % 5)[:60],
    "often of one value: d .0 in .*leave": beside(np.maximum(X[:, 0] + X[:, 1], 0)),
    "rounded to few values by float32: d": beside(
        np.where(np.arange(500) < 100, 1e12 + np.arange(500), RNG.normal(size=500))
    ),
    "30 columns and 16 training rows": RNG.normal(size=(20, 30)),
}


@pytest.mark.parametrize("sentence", DOUBTFUL)
def test_a_column_whose_density_has_no_bound_is_named(sentence, tmp_path):
    with pytest.warns(UserWarning, match=sentence):
        load(tmp_path, DOUBTFUL[sentence])


def test_columns_with_a_density_are_not_doubted(tmp_path):
    mixed = beside(X[:, 0] + 0.01 * RNG.normal(size=500), RNG.random(500).round(4))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load(tmp_path, mixed * [1, 1e6, 1e-6, 1, 1])


REFUSED = {
    "constant columns .d.*data.drop=d": (beside(np.full(500, 3.0)), {}),
    "constant columns .d": (beside(np.where(X[:, 0] > 0, 0.1 + 0.2, 0.3)), {}),
    "too large for float32 in d": (
        beside(1e200 * RNG.normal(size=500)),
        {"standardize": False},
    ),
    "components is 5, .* only 3 .*at most 3": (
        X @ RNG.normal(size=(3, 8)),
        {"components": 5},
    ),
    "such different units": (X * [1e9, 1, 1e-9], {"components": 3}),
    "jitter is 'noise'": (X, {"jitter": "noise"}),
    "in b; the first is row 7": (
        np.where((np.arange(500) == 7)[:, None] & [False, True, False], np.nan, X),
        {},
    ),
}


@pytest.mark.parametrize("sentence", REFUSED)
def test_what_cannot_be_trained_on_is_refused(sentence, tmp_path):
    rows, options = REFUSED[sentence]
    with pytest.raises(UserError, match=sentence):
        for seed in range(9):
            load(tmp_path, rows, seed=seed, **options)


@pytest.mark.parametrize("unit", [1e-310, 1e-200, 1e-5, 1e5, 1e200, 1e307])
def test_a_column_may_have_any_unit(unit, tmp_path):
    rows = (X - 2) * [1, unit / 8, 1]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        data = load(tmp_path, rows)
    plain = load(tmp_path, X - 2)
    np.testing.assert_allclose(data.train, plain.train, rtol=1e-4, atol=1e-4)
    change = data.log_det - plain.log_det
    assert change == pytest.approx(-np.log(unit) + np.log(8), abs=1e-3)
    back = data.to_original(data.test)[:, 1]
    expected = plain.to_original(plain.test)[:, 1] * (unit / 8)
    np.testing.assert_allclose(back / unit, expected / unit, rtol=1e-3, atol=1e-5)


def test_noise_fills_the_steps_of_discrete_columns_alone(tmp_path):
    counts = RNG.poisson(3, 500)
    rows = beside(counts, np.log1p(counts), 0.5 * (X[:, 0] > 0))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        before = load(tmp_path, rows)
        data, again = (load(tmp_path, rows, jitter="steps") for _ in "ab")
        other = load(tmp_path, rows, jitter="steps", seed=1)
    assert data.digest == before.digest and "noise in 3 discrete columns" in data.source
    assert data.summary()["jitter"] == pytest.approx({"d": 1, "e": np.log(2), "f": 0.5})
    np.testing.assert_array_equal(data.train, again.train)
    assert data.train.shape == other.train.shape
    moved = data.to_original(data.train) - before.to_original(before.train)
    np.testing.assert_allclose(moved[:, :3], 0, atol=1e-5)
    assert np.abs(moved[:, 3]).max() == pytest.approx(0.5, abs=0.02)
    assert np.abs(moved[:, 5]).max() == pytest.approx(0.25, abs=0.02)


GRIDS = {
    1.0: [0, 1, 5, 9],
    0.1: [0.3, 0.4, 1.1, 7.2],
    2.0: [4, 8, 14],
    0.05: [0.05, 0.1, 0.25],
    1 / 255: np.arange(256) / 255,
    1e-3: [1e6 + 0.001, 1e6 + 0.003, 1e6 + 0.004],
    0.0: RNG.normal(size=50),
}


@pytest.mark.parametrize("step", GRIDS)
def test_the_step_of_a_grid_is_found(step):
    assert grid_step(np.array(GRIDS[step], float)) == pytest.approx(step, rel=1e-6)
