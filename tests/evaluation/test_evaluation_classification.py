"""Accuracy and confusion equal scikit-learn, and log-loss its closed form."""

import numpy as np
import pytest
from sklearn import metrics

from nfml_jax.errors import UserError
from nfml_jax.evaluation import classification

LABELS = np.array([0, 1, 2, 2, 1, 0, 4, 4])


PREDICTED = np.array([0, 2, 2, 2, 1, 3, 4, 0])


def test_accuracy_of_classes_and_of_logits():
    expected = metrics.accuracy_score(LABELS, PREDICTED)
    logits = np.random.default_rng(0).normal(size=(len(LABELS), 5))
    logits[np.arange(len(LABELS)), PREDICTED] = 9
    assert classification.accuracy(PREDICTED, LABELS) == expected
    assert classification.accuracy(logits, LABELS) == expected


def test_confusion_matrix_has_true_classes_in_rows():
    matrix = classification.confusion_matrix(PREDICTED, LABELS, 5)
    np.testing.assert_array_equal(
        matrix, metrics.confusion_matrix(LABELS, PREDICTED, labels=np.arange(5))
    )
    assert np.trace(matrix) / matrix.sum() == classification.accuracy(PREDICTED, LABELS)


def test_per_class_accuracy_is_recall_or_nan_for_unseen_classes():
    matrix = classification.confusion_matrix(PREDICTED, LABELS, 5)
    each = classification.per_class_accuracy(matrix)
    seen = np.unique(LABELS)
    np.testing.assert_allclose(
        each[seen], metrics.recall_score(LABELS, PREDICTED, labels=seen, average=None)
    )
    assert np.isnan(each[3])


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: classification.accuracy(np.full((2, 3), np.nan), [0, 1]), "2 of 2"),
        (lambda: classification.accuracy(np.zeros(0, int), np.zeros(0, int)), "empty"),
        (lambda: classification.accuracy([0, 1], [0, 1, 2]), "shape"),
        (lambda: classification.accuracy([0, 1], [0.0, 1.0]), "float64"),
        (lambda: classification.confusion_matrix([0, 1], [0, 3], 3), "labels .* 3"),
        (lambda: classification.confusion_matrix([-1, 1], [0, 2], 3), "predictions"),
    ],
)
def test_bad_input_is_named(call, says):
    with pytest.raises(UserError, match=says):
        call()


def test_predictions_may_be_a_column_but_not_probabilities():
    labels = np.array([1, 0, 2])
    for predicted in (labels[:, None], labels.astype(float), labels.astype(np.uint8)):
        assert classification.accuracy(predicted, labels) == 1
    for predicted in ([0.9, 0.2, 0.7], [[0.9], [0.2], [0.7]], ["1", "0", "2"]):
        with pytest.raises(UserError, match="expected logits"):
            classification.accuracy(np.array(predicted), labels)


def test_accuracies_of_thousands_of_classes_need_no_matrix():
    rng = np.random.default_rng(0)
    labels, predicted = rng.integers(0, 30, (2, 500))
    matrix = classification.confusion_matrix(predicted, labels, 31)
    np.testing.assert_array_equal(
        classification.accuracy_of_classes(predicted[:, None], labels, 31),
        classification.per_class_accuracy(matrix),
    )
    many = np.arange(100_000)
    assert classification.accuracy_of_classes(many, many, len(many)).min() == 1
    with pytest.raises(UserError, match="accuracy_of_classes"):
        classification.confusion_matrix(many, many, len(many))


def test_predictions_that_are_not_classes_are_refused():
    for wrong in ([np.inf, 1.0], [0.5, 1.0], ["0", "1"], [[0.2], [0.9]], [1j, 0]):
        with pytest.raises(UserError, match="expected logits"):
            classification.accuracy(wrong, [0, 1])
    for right in ([[0], [1]], [0.0, 1.0], np.array([0, 1], np.uint64)):
        assert classification.accuracy(right, np.array([[0], [1]])) == 1


def test_correct_probabilities_are_calibrated():
    rng = np.random.default_rng(0)
    p = rng.uniform(0.5, 1, 40_000)
    log_probs = np.log(np.stack([p, 1 - p], axis=1))
    labels = (rng.uniform(size=len(p)) > p).astype(int)
    assert classification.calibration_error(log_probs, labels) < 0.01
    entropy = -(p * np.log(p) + (1 - p) * np.log(1 - p)).mean()
    assert classification.log_loss(log_probs, labels) == pytest.approx(
        entropy, abs=0.01
    )
    coin = rng.integers(0, 2, len(p))
    overconfident = classification.calibration_error(log_probs, coin)
    assert overconfident == pytest.approx(p.mean() - 0.5, abs=0.01)
    # The error is the mean gap of the bins of a reliability diagram.
    counts, confidence, accuracy = classification.reliability(log_probs, coin)
    gaps = counts * np.abs(accuracy - confidence)
    assert np.nansum(gaps) / counts.sum() == pytest.approx(overconfident)
    assert counts[:7].sum() == 0 and np.isnan(accuracy[:7]).all()


MISTAKES = {
    "log-softmaxes": lambda: classification.log_loss(np.zeros((3, 2)), [0, 1, 1]),
    r"expected \[N, classes\]": lambda: classification.log_loss(np.zeros(3), [0, 1, 1]),
    "range from 0 to 2": lambda: classification.calibration_error(
        np.log(np.full((3, 2), 0.5)), [0, 1, 2]
    ),
}


@pytest.mark.parametrize("sentence", MISTAKES)
def test_bad_probabilities_are_named(sentence):
    with pytest.raises(UserError, match=sentence):
        MISTAKES[sentence]()
