"""Closed-set classification: accuracy, confusion matrix, accuracy of each class."""

import numpy as np

from nfml_jax.errors import UserError
from nfml_jax.evaluation.arrays import check_labels, check_vectors, count_rows

MOST_CLASSES = 10_000
"""Classes of a confusion matrix, at most (800 MB)."""


def predictions(logits) -> np.ndarray:
    """The class of the largest logit [N] of `logits` [N, C]; ties: the lower class.

    UserError when the logits are empty or not finite.
    """
    return np.argmax(check_vectors(logits, "logits"), axis=1)


def accuracy(logits_or_predictions, labels) -> float:
    """Return the share of right answers.

    Args:
        logits_or_predictions: logits `[N, C]` of two or more classes, or predicted
            classes `[N]` or `[N, 1]`.
        labels: the right classes `[N]`.

    Raises:
        UserError: for what is neither, such as probabilities of one class.
    """
    count_rows(logits_or_predictions, "predictions")
    try:
        predicted = np.asarray(logits_or_predictions)
    except ValueError as problem:
        raise UserError(f"predictions are no classes ({problem}).") from None
    if predicted.ndim == 2 and predicted.shape[1] > 1:
        predicted = predictions(predicted)
    elif predicted.ndim == 2:
        predicted = predicted[:, 0]
    if predicted.dtype == object:  # such as integers of Python
        predicted = check_labels(predicted, len(predicted), name="predictions")
    whole = predicted.dtype.kind in "iub" or (
        predicted.dtype.kind == "f"
        and np.isfinite(predicted).all()
        and (predicted == np.round(predicted)).all()
    )
    if not whole or predicted.ndim != 1:
        raise UserError(
            f"predictions have shape {np.shape(logits_or_predictions)} and type "
            f"{predicted.dtype}, and are no classes; give logits [N, C], or the "
            "predicted classes [N] as integers."
        )
    labels = check_labels(labels, len(predicted))
    if len(labels) == 0:
        raise UserError("accuracy of an empty set; evaluate on at least one example.")
    return float(np.mean(predicted == labels))


def confusion_matrix(predicted, labels, num_classes: int) -> np.ndarray:
    """Return counts [C, C]: row = true class, column = predicted class.

    Memory is that of C² integers; `accuracy_of_classes` needs that of C.

    Raises:
        UserError: when a class lies outside 0 … C−1, or for more than `MOST_CLASSES`.
    """
    if num_classes > MOST_CLASSES:
        raise UserError(
            f"a confusion matrix of {num_classes} classes; expected at most "
            f"{MOST_CLASSES}: take accuracy_of_classes(predicted, labels, num_classes)."
        )
    count = count_rows(predicted, "predictions")
    labels = check_labels(labels, count, num_classes)
    predicted = check_labels(predicted, len(labels), num_classes, "predictions")
    cells = labels.astype(np.int64) * num_classes + predicted
    counts = np.bincount(cells, minlength=num_classes**2)
    return counts.reshape(num_classes, num_classes)


def accuracy_of_classes(predicted, labels, num_classes: int) -> np.ndarray:
    """Return the accuracy of each class [C]; NaN for a class unseen.

    Predicted classes [N] and labels [N]. Time and memory are linear in both counts.
    """
    count = count_rows(labels, "labels")
    labels = check_labels(labels, count, num_classes)
    predicted = check_labels(predicted, len(labels), num_classes, "predictions")
    counts = np.bincount(labels, minlength=num_classes)
    right = np.bincount(labels[labels == predicted], minlength=num_classes)
    return np.where(counts > 0, right / np.maximum(counts, 1), np.nan)


def per_class_accuracy(matrix: np.ndarray) -> np.ndarray:
    """Return the accuracy of each class [C] from a confusion matrix.

    It is NaN for a class unseen.
    """
    counts = np.sum(matrix, axis=1)
    right = np.diagonal(matrix)
    return np.where(counts > 0, right / np.maximum(counts, 1), np.nan)
