"""Closed-set classification: accuracy, confusion matrix, accuracy of each class."""

import numpy as np

from nfml_jax.errors import UserError
from nfml_jax.evaluation.arrays import check_labels, check_vectors


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
    predicted = np.asarray(logits_or_predictions)
    if predicted.ndim == 2 and predicted.shape[1] > 1:
        predicted = predictions(predicted)
    elif predicted.ndim == 2:
        predicted = predicted[:, 0]
    whole = predicted.dtype.kind in "iub" or (
        predicted.dtype.kind == "f" and (predicted == np.round(predicted)).all()
    )
    if not whole:
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
    """Counts [C, C]: row = true class, column = predicted class.

    UserError when a class lies outside 0 … C−1.
    """
    labels = check_labels(labels, len(predicted), num_classes)
    predicted = check_labels(predicted, len(labels), num_classes, "predictions")
    cells = labels.astype(np.int64) * num_classes + predicted
    counts = np.bincount(cells, minlength=num_classes**2)
    return counts.reshape(num_classes, num_classes)


def per_class_accuracy(matrix: np.ndarray) -> np.ndarray:
    """Accuracy of each class [C] from a confusion matrix; NaN for a class unseen."""
    counts = np.sum(matrix, axis=1)
    right = np.diagonal(matrix)
    return np.where(counts > 0, right / np.maximum(counts, 1), np.nan)
