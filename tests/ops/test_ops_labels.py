"""Labels and embeddings are converted exactly, or refused by one sentence."""

import jax
import jax.numpy as jnp
import numpy as np
import pandas
import polars
import pytest

from nfml_jax.errors import UserError
from nfml_jax.ops.embeddings import embedding_rows
from nfml_jax.ops.labels import check_labels, row_labels

EXACT = {
    "a list": [0, 1, 2],
    "a tuple": (0, 1, 2),
    "a list of columns": [[0], [1], [2]],
    "a list of numpy's": [np.int64(0), np.uint8(1), 2],
    "a list of JAX's": [jnp.asarray(0), 1, 2],
    "a column": np.array([[0], [1], [2]]),
    "JAX's column": jnp.array([[0], [1], [2]]),
    "of 4 bits": jnp.array([0, 1, 2], jnp.int4),
    "objects": np.array([0, 1, 2], object),
    "pandas": pandas.Series([0, 1, 2], index=[5, 6, 7]),
    "pandas, nullable": pandas.Series([0, 1, 2], dtype="Int64"),
    "pandas, categorical": pandas.Series([0, 1, 2], dtype="category"),
    "polars": polars.Series([0, 1, 2]),
    "a memory view": memoryview(np.array([0, 1, 2])),
    **{kind: np.array([0, 1, 2], kind) for kind in "bBhHiIqQ"},
}


@pytest.mark.parametrize("labels", EXACT.values(), ids=EXACT)
def test_integers_of_every_container_and_width_are_exact(labels):
    found = check_labels(labels, 3, 3)
    assert found.dtype == np.int32
    np.testing.assert_array_equal(found, [0, 1, 2])
    np.testing.assert_array_equal(row_labels(labels, 3, num_classes=3), [0, 1, 2])


def test_booleans_are_the_classes_0_and_1():
    for labels in (
        [True, False],
        np.array([[True], [False]]),
        jnp.array([True, False]),
    ):
        np.testing.assert_array_equal(check_labels(labels, 2, 2), [1, 0])


def test_masked_rows_are_padding_where_padding_is_taken():
    labels = np.ma.masked_array(np.array([3, 250, 1], np.uint8), [False, True, False])
    np.testing.assert_array_equal(row_labels(labels, 3), [3, -1, 1])
    with pytest.raises(UserError, match="masked in 1 of 3 rows"):
        check_labels(labels, 3)


REFUSED = {
    "floats": (np.array([0.0, 1.0, 2.0]), r"\[3\] and type float64; .*astype\(int\)"),
    "halves": (jnp.array([0, 1, 2], jnp.bfloat16), r"astype\(int\)"),
    "gaps": (polars.Series([0, None, 2]), r"astype\(int\)"),
    "text": (["a", "b", "c"], r"numpy.unique"),
    "numerals": (np.array(["0", "1", "2"]), "type <U1; .*numpy.unique"),
    "mixed": ([0, "1", None], "numpy.unique"),
    "None among integers": (
        np.array([0, None, 2], object),
        "object, such as None",
    ),
    "nothing": (None, r"\[\]"),
    "dates": (np.array(["2020", "2021", "2022"], "M8[Y]"), "datetime64"),
    "one-hot rows": (np.eye(3, dtype=int), r"\[3, 3\] .*argmax\(axis=1\)"),
    "one-hot floats": (jax.nn.one_hot(jnp.arange(3), 3), r"argmax\(axis=1\)"),
    "a row": (np.array([[0, 1, 2]]), r"\[1, 3\] .* 3 rows"),
    "too few": ([0, 1], r"\[2\] .* 3 rows"),
    "ragged": ([[0], [1, 2], [3]], "not an array"),
    "beyond the classes": ([0, 1, 5], "range from 0 to 5; expected 0 to 4"),
    "beyond 32 bits": ([0, 1, 2**32 + 1], "range from 0 to 4294967297"),
    "beyond 64 bits": ([0, 1, 2**70], "range from 0 to 1180591620717411303424"),
    "far below": ([0, 1, -(2**40)], "range from -1099511627776"),
}


@pytest.mark.parametrize(("labels", "sentence"), REFUSED.values(), ids=REFUSED)
def test_values_that_are_not_labels_are_refused(labels, sentence):
    for check in (check_labels, row_labels):
        with pytest.raises(UserError, match=sentence):
            check(labels, 3, num_classes=5)


def test_labels_beyond_32_bits_are_refused():
    for kind in (np.int64, np.uint64, np.uint32):
        with pytest.raises(UserError, match=r"32 bits: .*numpy.unique"):
            check_labels(np.array([0, 2**32 - 1], kind), 2)


def test_traced_labels_are_checked_by_shape_and_type():
    def traced(shape, dtype):
        return jax.eval_shape(
            lambda labels: row_labels(labels, 3, num_classes=3),
            jax.ShapeDtypeStruct(shape, dtype),
        )

    for dtype in (bool, np.int8, np.uint8, np.int16, np.uint16, np.int32, jnp.int4):
        for shape in ((3,), (3, 1)):
            found = traced(shape, dtype)
            assert found.shape == (3,) and found.dtype == np.int32
    for shape, dtype, sentence in (
        ((3,), np.float32, "float32"),
        ((3, 3), np.int32, "argmax"),
        ((4,), np.int32, "3 rows"),
        ((3,), np.uint32, r"under jit.*astype\('int32'\)"),
    ):
        with pytest.raises(UserError, match=sentence):
            traced(shape, dtype)
    with jax.enable_x64(True):
        assert traced((3,), np.int64).dtype == np.int64
        assert traced((3,), np.uint32).dtype == np.int64
        with pytest.raises(UserError, match="uint64"):
            traced((3,), np.uint64)


def test_a_list_of_traced_labels_is_accepted():
    found = jax.jit(lambda a, b: row_labels([a, b, -1], 3))(1, 2)
    np.testing.assert_array_equal(found, [1, 2, -1])


def test_embeddings_are_floating_point_rows():
    assert embedding_rows([[1, 2], [3, 4]]).dtype == np.float32
    assert embedding_rows(np.array([[200, 3]], np.uint8))[0, 0] == 200.0
    for kind in (jnp.float16, jnp.bfloat16, jnp.float32):
        assert embedding_rows(jnp.ones((2, 3), kind)).dtype == kind
    assert embedding_rows(np.ones((0, 3))).shape == (0, 3)
    for given, sentence in (
        (np.ones(3), r"shape \[3\] and type float32; .*\[B, D\]"),
        (np.ones((2, 3, 1)), r"\[2, 3, 1\]"),
        (np.ones((2, 0)), r"\[2, 0\]"),
        (np.ones((2, 3), complex), "complex"),
        (np.array([["a", "b"]]), "<U1"),
        ([["a", "b"]], "list"),
        (np.full((2, 3), 1e200), r"1e\+200, beyond the range of float32"),
    ):
        with pytest.raises(UserError, match=sentence):
            embedding_rows(given)
