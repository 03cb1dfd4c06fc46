"""Bits of a mixture of classes against the sum of its probabilities."""

import numpy as np
import pytest
from scipy.special import logsumexp, softmax

from nfml_jax.errors import UserError
from nfml_jax.evaluation.bits_per_dim import Ledger
from nfml_jax.evaluation.class_bits import of_classes, with_class

SHAPE, D, PRIOR = (2, 2, 1), 4, np.array([0.5, 0.3, 0.2])
RNG = np.random.default_rng(0)
LABELS = RNG.integers(0, 3, 50)
LOG_PROBS = RNG.normal(-10, 2, (50, 3))  # log P(x | class) in nats


def bits(classes, log_probs=LOG_PROBS):
    ledger = Ledger(SHAPE)
    ledger.add(
        density=log_probs[np.arange(len(classes)), classes] + 1, noise=-1 + 0 * classes
    )
    return ledger.result()


def test_the_mixture_is_the_sum_of_its_classes():
    found = of_classes(bits, PRIOR, LABELS)
    joint = LOG_PROBS + np.log(PRIOR)
    np.testing.assert_allclose(found.log_joint, joint)
    expected = -logsumexp(joint, axis=1) / (D * np.log(2))
    np.testing.assert_allclose(found.marginal.per_image, expected)
    assert found.marginal.mean == pytest.approx(expected.mean())
    np.testing.assert_allclose(np.exp(found.log_posterior), softmax(joint, axis=1))
    # The order of the calls does not matter.
    other = of_classes(bits, PRIOR, 0 * LABELS, known=False)
    np.testing.assert_allclose(other.log_joint, joint)
    assert not other.marginal.terms


def test_the_terms_of_a_mixture_add_up_to_its_bits():
    marginal = of_classes(bits, PRIOR, LABELS).marginal
    terms = marginal.terms
    assert list(terms) == ["density", "noise", "class", "mixture"]
    assert sum(terms.values()) == pytest.approx(marginal.mean)
    one = with_class(bits(LABELS), PRIOR, LABELS)
    assert one.mean == pytest.approx(sum(terms.values()) - terms["mixture"])
    # Knowing the label and its bits is one way to code an image; a mixture is shorter.
    assert terms["mixture"] < 0 < terms["class"]
    assert (marginal.per_image <= one.per_image).all()


def test_a_value_that_is_nan_stays_one_of_its_image_alone():
    log_probs = LOG_PROBS.copy()
    log_probs[3, 1], log_probs[7] = np.nan, -np.inf
    marginal = of_classes(lambda c: bits(c, log_probs), PRIOR, LABELS).marginal
    assert np.isnan(marginal.mean)
    np.testing.assert_array_equal(marginal.not_finite, [3, 7])


@pytest.mark.parametrize("prior", [[], [[0.5, 0.5]], 1.0])
def test_a_prior_of_no_classes_is_a_sentence(prior):
    with pytest.raises(UserError, match="probability of each class"):
        of_classes(bits, prior, LABELS)
