"""Outliers of classes by their sub-centers."""

import numpy as np
import pytest

from nfml_jax.errors import UserError
from nfml_jax.heads import MarginHead, SubCenterArcFace, dominant_centers, outliers

EMBEDDINGS = np.array([[5.0, 0.1], [1, 0.2], [0, -3], [0, 2], [-0.1, 1], [9, 1.0]])
LABELS = np.array([0, 0, 0, 1, 1, 1])
WEIGHTS = np.array([[[0, -2.0], [1, 0]], [[0, 3], [1, 0]], [[1, 1], [0, 1]]])


def test_the_dominant_center_is_nearest_to_most_examples():
    dominant = dominant_centers(EMBEDDINGS, LABELS, WEIGHTS)
    np.testing.assert_array_equal(dominant, [1, 0, 0])


def test_outliers_are_far_from_the_dominant_center():
    odd = np.array([False, False, True, False, False, True])
    np.testing.assert_array_equal(outliers(EMBEDDINGS, LABELS, WEIGHTS), odd)
    assert outliers(EMBEDDINGS, LABELS, WEIGHTS, degrees=0.0).sum() == 5
    assert not outliers(EMBEDDINGS, LABELS, WEIGHTS, degrees=95.0).any()
    one = WEIGHTS[np.arange(3), [1, 0, 0]]
    np.testing.assert_array_equal(outliers(EMBEDDINGS, LABELS, one), odd)
    assert outliers(np.zeros((6, 2)), LABELS, WEIGHTS).all()


def test_many_rows_are_marked_in_chunks():
    many = np.tile(EMBEDDINGS, (2000, 1)), np.tile(LABELS, 2000)
    expected = np.tile(outliers(EMBEDDINGS, LABELS, WEIGHTS), 2000)
    np.testing.assert_array_equal(outliers(*many, WEIGHTS), expected)


def test_class_weights_are_the_most_frequent_subcenters():
    head = MarginHead(3, SubCenterArcFace(subcenters=2))
    wins = np.array([[1, 2.0], [5, 1], [0, 0]])
    variables = {"params": {"weights": WEIGHTS}, "statistics": {"wins": wins}}
    found = head.apply(variables, method="class_weights")
    np.testing.assert_allclose(found, [[1, 0], [0, 3], [1, 1]])


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"labels": LABELS[:5]}, r"labels have shape \[5\] .* expected one integer"),
        ({"weights": WEIGHTS[..., :1]}, "expected .N, D. and .C, K, D."),
        ({"labels": LABELS + 2}, "labels range from 2 to 3; expected 0 to 2"),
        ({"labels": LABELS - 1}, "labels range from -1"),
        ({"degrees": 200.0}, r"degrees=200\.0; expected an angle"),
    ],
)
def test_invalid_values_raise_an_error(change, sentence):
    given = {"embeddings": EMBEDDINGS, "labels": LABELS, "weights": WEIGHTS}
    with pytest.raises(UserError, match=sentence):
        outliers(**(given | change))
