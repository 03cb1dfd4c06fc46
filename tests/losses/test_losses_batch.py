"""Softmax, ranking and whole-batch losses: the papers' formulae, and laws of all."""

import jax
import numpy as np
import pytest

from nfml_jax.cli.losses import table
from nfml_jax.errors import UserError
from nfml_jax.losses import LOSSES, make_loss
from nfml_jax.losses.two_views import TwoViews, pair_up, two_views
from tests.losses import batch_laws as laws
from tests.losses import batch_reference as reference
from tests.losses.test_losses_pairs import PAIRS
from tests.losses.test_losses_proxies import PROXIES

BATCH = {
    "nca": reference.nca,
    "sup_con": reference.sup_con,
    "nt_xent": reference.nt_xent,
    "fast_ap": reference.fast_ap,
    "smooth_ap": reference.smooth_ap,
    "histogram": reference.histogram,
    "barlow_twins": reference.barlow_twins,
    "vicreg": reference.vicreg,
}


@pytest.mark.parametrize("name", BATCH)
def test_values_and_gradients_equal_the_paper(name):
    laws.check_against(name, BATCH[name])


def test_sup_con_with_the_mean_inside_the_logarithm():
    laws.check_against("sup_con", reference.sup_con_in, mean="in")


@pytest.mark.parametrize("name", ["histogram", "barlow_twins"])
def test_two_devices_equal_one(name):
    laws.check_devices(name)


@pytest.mark.parametrize("name", ["smooth_ap", "histogram"])
def test_chunks_do_not_change_the_result(name):
    laws.check_chunks(name)


@pytest.mark.parametrize("name", BATCH)
def test_batch_order_does_not_matter(name):
    rng = np.random.default_rng(3)
    order = rng.permutation(len(laws.LABELS))
    if isinstance(laws.objective(name), TwoViews):
        # Except which view of a pair is the first.
        order = order[np.argsort(laws.LABELS[order], kind="stable")]
        for label in np.unique(laws.LABELS):
            order[laws.LABELS[order] == label] = np.flatnonzero(label == laws.LABELS)
    laws.check_permutation(name, order)


@pytest.mark.parametrize("name", BATCH)
def test_values_and_gradients_are_finite_at_the_edges(name):
    laws.check_edges(name)


@pytest.mark.parametrize("name", BATCH)
def test_embeddings_may_have_any_length(name):
    laws.check_sizes(name)


@pytest.mark.parametrize("name", BATCH)
def test_a_nan_in_the_embeddings_makes_the_loss_nan(name):
    laws.check_nan(name)


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


def test_each_loss_has_a_reference():
    known = {*BATCH, *PAIRS, *PROXIES}
    for name in LOSSES:
        assert name in known, (
            f"The loss {name!r} has no reference: add its formula in numpy to "
            "pair_reference.py or batch_reference.py in tests/losses, and a line to "
            "PAIRS, BATCH or PROXIES in the tests."
        )


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
