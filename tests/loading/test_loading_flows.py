"""A trained flow takes any number of rows, in chunks of one shape."""

from dataclasses import replace

import jax
import numpy as np
import pytest

from nfml_jax import flows
from nfml_jax.data.vectors.context import Context
from nfml_jax.errors import UserError
from nfml_jax.loading import flows as trained_module
from nfml_jax.loading.flows import TrainedFlow
from nfml_jax.ops.batches import in_batches

SHIFT, SCALE = np.array([1.0, -2.0]), np.array([2.0, 0.5])


@pytest.mark.parametrize("count", [0, 1, 5, 8, 21])
def test_batches_are_the_whole_and_have_one_shape(count):
    shapes = set()

    def function(x, y):
        shapes.add((x.shape, y.shape))
        return {"sum": x.sum(1) + y, "rows": x}

    x = np.arange(3.0 * count).reshape(count, 3)
    y = np.arange(count)
    found = in_batches(function, 8, x, y, multiple=3)
    np.testing.assert_array_equal(found["sum"], x.sum(1) + y)
    np.testing.assert_array_equal(found["rows"], x)
    ((size, _), _), *others = shapes
    assert not others and size % 3 == 0 and size <= 9


@pytest.fixture(scope="module")
def trained():
    flow = flows.maf(event_dim=2, layers=1, hidden=(8,))
    variables = flow.init(jax.random.key(0), np.zeros((1, 2), np.float32))
    variables = jax.tree.map(
        lambda v: v + 0.3 if v.dtype == np.float32 else v, variables
    )
    return TrainedFlow(flow, variables, SHIFT, SCALE, step=1)


def test_any_number_of_rows_is_one_compilation(trained, monkeypatch):
    monkeypatch.setattr(trained_module, "CHUNK", 4)
    x = np.random.default_rng(0).normal(size=(11, 2))
    inside = ((x - SHIFT) / SCALE).astype(np.float32)
    whole = trained.flow.apply(trained.variables, inside) - np.log(SCALE).sum()
    np.testing.assert_allclose(trained.log_prob(x), whole, rtol=1e-5)
    assert trained.log_prob(x[:0]).shape == (0,)
    longer, shorter = trained.sample(3, 11), trained.sample(3, 4)
    np.testing.assert_allclose(longer[:4], shorter, rtol=1e-5)
    assert trained.sample(3, 0).shape == (0, 2)
    # Of four rows and of one.
    assert trained._log_prob._cache_size() == 2


def test_a_bad_row_is_named_wherever_it_is(trained, monkeypatch):
    monkeypatch.setattr(trained_module, "CHUNK", 4)
    x = np.zeros((11, 2))
    x[[6, 9], 0] = np.nan, np.inf
    with pytest.raises(UserError, match=r"2 of 11 rows .* row 6"):
        trained.log_prob(x)


def test_a_model_is_represented_on_one_line(trained):
    named = replace(trained, columns=tuple("abcdefg"), digest="")
    assert repr(trained) == "TrainedFlow(step=1)"
    words = "columns=('a', 'b', 'c', 'd', 'e', … 7 in all)"
    assert repr(named) == f"TrainedFlow(step=1, {words})"


def test_the_context_of_one_column_may_be_flat():
    names = Context(("kind",), (0.0,), (1.0,), levels=(("new", "old"),))
    for given in (["old", "new"], [["old"], ["new"]], [1, 0]):
        np.testing.assert_array_equal(names.encode(given), [[0, 1], [1, 0]])
    with pytest.raises(UserError, match=r"expected names or numbers \[N, 1\]: kind"):
        names.encode(np.eye(2))
    numbers = Context(("size",), (1.0,), (2.0,))
    np.testing.assert_array_equal(numbers.encode([1.0, 5.0]), [[0.0], [2.0]])
