"""Proxies and centers: what is said of single ones."""

from functools import partial

import jax
import numpy as np
import pytest

from nfml_jax.errors import UserError
from nfml_jax.losses import make_loss
from tests.losses import batch_laws as laws
from tests.losses import batch_reference as reference

PROXIES = ("proxy_nca", "proxy_nca_plus_plus", "proxy_anchor", "soft_triple", "center")


@pytest.mark.parametrize("name", PROXIES)
def test_equal_and_zero_proxies_give_finite_values(name):
    for factor in (0.0, 1.0):
        given = jax.tree.map(
            lambda x, factor=factor: np.full_like(x, factor), laws.variables(name)
        )
        value, grads, _, _ = laws.run(name, given=given)
        assert all(np.isfinite(x).all() for x in jax.tree.leaves((value, grads)))


@pytest.mark.parametrize("name", sorted({*PROXIES} - {"center"}))
def test_a_proxy_is_classified_as_its_class(name):
    given = laws.variables(name)
    proxies = given["params"]["proxies"]
    of_class = proxies[:, 0] if proxies.ndim == 3 else proxies
    logits = jax.jit(partial(laws.objective(name).apply, method="logits"))
    logits = jax.device_get(logits(given, of_class))
    assert logits.shape == (laws.CLASSES, laws.CLASSES)
    np.testing.assert_array_equal(logits.argmax(-1), np.arange(laws.CLASSES))


def test_centers_move_by_the_rule_of_the_paper():
    known = laws.LABELS >= 0
    (before,) = jax.tree.leaves(laws.variables("center")["centres"])
    (after,) = jax.tree.leaves(laws.run("center")[2])
    x, labels = laws.EMBEDDINGS[known], laws.LABELS[known]
    expected = reference.moved_centers(x, labels, before)
    np.testing.assert_allclose(after, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(after[-1], before[-1])


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"name": "proxy_nca", "temperature": 0.0}, "temperature=0.0"),
        ({"name": "proxy_anchor", "scale": "much"}, "scale='much'; expected a number"),
        ({"name": "soft_triple", "centers": 2.5}, "centers=2.5; expected an integer"),
        ({"name": "soft_triple", "centres": 2}, "did you mean 'centers'"),
        ({"name": "center", "rate": 2.0}, r"rate=2\.0"),
    ],
)
def test_invalid_values_raise_an_error(given, sentence):
    with pytest.raises(UserError, match=sentence):
        make_loss(laws.CLASSES, laws.SIZE, **given)


def test_proxies_need_two_classes():
    with pytest.raises(UserError, match="num_classes=1"):
        make_loss(1, laws.SIZE, name="proxy_nca")
