"""Softmax, ranking and whole-batch losses: what is said of single ones."""

import jax
import numpy as np
import pytest

from nfml_jax.cli.losses import table
from nfml_jax.errors import UserError
from nfml_jax.losses import LOSSES, make_loss
from nfml_jax.losses.two_views import pair_up, two_views
from tests.losses import batch_laws as laws
from tests.losses import batch_reference as reference


def test_sup_con_with_the_mean_inside_the_logarithm():
    laws.check_against("sup_con", reference.sup_con_in, mean="in")


@pytest.mark.parametrize("name", ["smooth_ap", "histogram"])
def test_chunks_do_not_change_the_result(name):
    laws.check_chunks(name)


def test_nt_xent_equals_sup_con_for_two_views():
    x, labels = two_views(laws.EMBEDDINGS[:7], laws.EMBEDDINGS[7:])
    a, b = laws.run("nt_xent", x, labels), laws.run("sup_con", x, labels)
    np.testing.assert_allclose(a[0], b[0], rtol=1e-5)
    np.testing.assert_allclose(a[1][0], b[1][0], rtol=1e-3, atol=1e-6)


def test_two_views_are_paired_in_any_order():
    x, labels = jax.device_get(two_views(np.arange(4), np.arange(4) + 10))
    order = np.array([5, 0, 3, 7, 4, 2, 1, 6])
    a, b, paired = jax.device_get(jax.jit(pair_up)(labels[order]))
    assert paired.all()
    np.testing.assert_array_equal(abs(x[order][a] - x[order][b]), 10)


def test_rows_without_a_partner_are_not_paired():
    labels = np.array([7, -1, 3, 7, -1, 7, 2, -1])
    a, b, paired = jax.device_get(jax.jit(pair_up)(labels))
    assert (a[paired], b[paired]) == (0, 3)


def test_histograms_take_the_memory_of_pairs():
    rows, bins = 128, 100
    x = jax.ShapeDtypeStruct((rows, 4), np.float32)
    labels = jax.ShapeDtypeStruct((rows,), np.int32)
    compiled = laws.program("fast_ap", bins=bins).lower(x, labels, {}).compile()
    assert compiled.memory_analysis().temp_size_in_bytes < 4 * rows**2 * bins / 3


def test_the_table_has_a_row_for_each_loss():
    rows = table().splitlines()[2:]
    assert [row.split("`")[1] for row in rows] == [*LOSSES]
    # A bar within a formula would begin a further column.
    assert all(row.replace(r"\|", "").count("|") == 5 for row in rows)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"name": "sup_con", "mean": "inside"}, "mean='inside'; expected one of 'out'"),
        ({"name": "nt_xent", "temperature": 0}, "temperature=0"),
        ({"name": "fast_ap", "bins": 0}, "bins=0; expected an integer"),
        ({"name": "histogram", "bins": 10.5}, "bins=10.5; expected an integer"),
        ({"name": "barlow_twins", "off_diagonal": -1}, "off_diagonal=-1"),
        ({"name": "vicreg", "varience": 1}, "did you mean 'variance'"),
    ],
)
def test_invalid_values_raise_an_error(given, sentence):
    with pytest.raises(UserError, match=sentence):
        make_loss(laws.CLASSES, laws.SIZE, **given)
