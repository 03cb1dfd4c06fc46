"""Proxies and centres: their papers' formulae, and the laws of all objectives."""

from functools import partial

import jax
import numpy as np
import pytest

from nfml_jax.errors import UserError
from nfml_jax.losses import make_loss
from tests.losses import batch_laws as laws
from tests.losses import batch_reference as reference

PROXIES = {
    "proxy_nca": reference.proxy_nca,
    "proxy_nca_plus_plus": reference.proxy_nca_plus_plus,
    "proxy_anchor": reference.proxy_anchor,
    "soft_triple": reference.soft_triple,
    "center": reference.center,
}


@pytest.mark.parametrize("name", PROXIES)
def test_values_and_gradients_are_the_paper_s(name):
    laws.check_against(name, PROXIES[name])


@pytest.mark.parametrize("name", ["proxy_anchor", "center"])
def test_several_devices_are_one(name):
    laws.check_devices(name)


@pytest.mark.parametrize("name", PROXIES)
def test_the_order_of_rows_is_nothing(name):
    laws.check_permutation(name, np.random.default_rng(3).permutation(len(laws.LABELS)))


@pytest.mark.parametrize("name", PROXIES)
def test_finite_everywhere(name):
    laws.check_edges(name)


@pytest.mark.parametrize("name", PROXIES)
def test_embeddings_may_have_any_length(name):
    laws.check_sizes(name)


@pytest.mark.parametrize("name", PROXIES)
def test_what_is_not_finite_is_not_passed_over(name):
    laws.check_nan(name)


@pytest.mark.parametrize("name", PROXIES)
def test_proxies_equal_to_each_other_or_to_nothing(name):
    for factor in (0.0, 1.0):
        given = jax.tree.map(
            lambda x, factor=factor: np.full_like(x, factor), laws.variables(name)
        )
        value, grads, _, _ = laws.run(name, given=given)
        assert all(np.isfinite(x).all() for x in jax.tree.leaves((value, grads)))


@pytest.mark.parametrize("name", sorted(PROXIES.keys() - {"center"}))
def test_a_proxy_s_largest_logit_is_its_class(name):
    given = laws.variables(name)
    proxies = given["params"]["proxies"]
    of_class = proxies[:, 0] if proxies.ndim == 3 else proxies
    logits = jax.jit(partial(laws.objective(name).apply, method="logits"))
    logits = jax.device_get(logits(given, of_class))
    assert logits.shape == (laws.CLASSES, laws.CLASSES)
    np.testing.assert_array_equal(logits.argmax(-1), np.arange(laws.CLASSES))


def test_centres_follow_the_paper_s_rule_where_they_may_move():
    known = laws.LABELS >= 0
    (before,) = jax.tree.leaves(laws.variables("center")["centres"])
    (after,) = jax.tree.leaves(laws.run("center")[2])
    x, labels = laws.EMBEDDINGS[known], laws.LABELS[known]
    expected = reference.moved_centres(x, labels, before)
    np.testing.assert_allclose(after, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(after[-1], before[-1])


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"name": "proxy_nca", "temperature": 0.0}, "temperature=0.0"),
        ({"name": "proxy_anchor", "scale": "much"}, "scale='much'; expected a number"),
        ({"name": "soft_triple", "centres": 2.5}, "centres=2.5; expected an integer"),
        ({"name": "soft_triple", "centers": 2}, "did you mean 'centres'"),
        ({"name": "center", "rate": 2.0}, r"rate=2\.0"),
    ],
)
def test_what_does_not_fit_is_named(given, sentence):
    with pytest.raises(UserError, match=sentence):
        make_loss(laws.CLASSES, laws.SIZE, **given)


def test_one_class_has_no_proxies_to_tell_apart():
    with pytest.raises(UserError, match="num_classes=1"):
        make_loss(1, laws.SIZE, name="proxy_nca")
