"""The scale for a target probability, against the probability itself."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nfml_jax.errors import UserError
from nfml_jax.heads import MARGINS, ArcFace, CosFace, MarginHead, TargetProbability

NORMALIZED = [kind() for kind in MARGINS.values() if kind.normalize_embeddings]


@pytest.mark.parametrize("probability", [0.5, 0.9, 0.999])
@pytest.mark.parametrize("classes", [2, 10, 1000])
@pytest.mark.parametrize("margin", NORMALIZED, ids=lambda m: type(m).__name__)
def test_a_simplex_of_centers_reaches_the_probability(margin, classes, probability):
    if classes == 2 and probability == 0.5:
        pytest.skip("two classes have probability 1/2 at scale 0")
    scale = float(TargetProbability(probability).scale(margin, classes))
    target = margin.target(jnp.ones(()))
    other = margin.negatives(jnp.asarray(-1.0 / (classes - 1)), target)
    own = np.exp(scale * float(target))
    others = (classes - 1) * np.exp(scale * float(other))
    np.testing.assert_allclose(own / (own + others), probability, rtol=1e-4)


def test_cosface_equation_6():
    """10 classes at 0.9, 0.99, 0.999 and 10,575 classes at 0.9, without a margin."""
    plain = MARGINS["normface"]()
    found = [TargetProbability(p).scale(plain, 10) for p in (0.9, 0.99, 0.999)]
    np.testing.assert_allclose(found, [3.96, 6.11, 8.19], atol=0.01)
    found = TargetProbability(0.9).scale(plain, 10_575)
    np.testing.assert_allclose(found, 11.46, atol=0.01)


def test_the_margin_of_cosface_reduces_the_divisor():
    found = TargetProbability(0.9).scale(CosFace(0.35), 10)
    np.testing.assert_allclose(found, np.log(9 * 9) / (10 / 9 - 0.35), rtol=1e-6)


def test_a_probability_that_no_scale_reaches_raises_an_error():
    with pytest.raises(UserError, match=r"No scale gives probability 0.9"):
        MarginHead(10, CosFace(1.5), TargetProbability(0.9))
    with pytest.raises(UserError, match=r"No scale gives probability 0.05"):
        MarginHead(10, CosFace(0.1), TargetProbability(0.05))


def test_a_traced_margin_gives_a_traced_scale():
    def scale(m):
        return TargetProbability(0.9).scale(ArcFace(m), 10)

    margins = jnp.array([0.1, 0.5])
    expected = [scale(0.1), scale(0.5)]
    np.testing.assert_allclose(jax.vmap(scale)(margins), expected, rtol=1e-5)


@pytest.mark.parametrize("wrong", [0.0, 1.0, -1.0, float("nan")])
def test_a_probability_is_between_0_and_1(wrong):
    with pytest.raises(UserError, match="strictly between 0 and 1"):
        TargetProbability(wrong)
