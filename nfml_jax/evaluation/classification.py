"""Closed-set classification: accuracy, confusion matrix, log-loss and calibration."""

from typing import NamedTuple

import numpy as np

from nfml_jax.errors import UserError
from nfml_jax.evaluation.inputs import check_vectors, count_rows
from nfml_jax.ops.labels import check_labels

MOST_CLASSES = 10_000
"""The most classes of a confusion matrix (800 MB)."""


def predictions(logits) -> np.ndarray:
    """Return the class `[N]` of the largest logit; of equal logits the lower class.

    Args:
      logits: `[N, C]`.

    Raises:
      UserError: for logits that are empty or not finite.

    >>> predictions([[0.1, 0.9], [0.5, 0.5]])
    array([1, 0])
    """
    return np.argmax(check_vectors(logits, "logits"), axis=1)


def accuracy(logits_or_predictions, labels) -> float:
    """Return the share of examples that are classified correctly.

    Args:
      logits_or_predictions: logits `[N, C]` of two or more classes, or predicted
        classes `[N]` or `[N, 1]`.
      labels: the true classes `[N]`.

    Raises:
      UserError: for values that are neither, such as probabilities of one class.

    >>> accuracy([[0.1, 0.9], [0.5, 0.2]], [1, 1])
    0.5
    """
    count_rows(logits_or_predictions, "predictions")
    try:
        predicted = np.asarray(logits_or_predictions)
    except ValueError as problem:
        raise UserError(
            f"predictions are no array ({problem}); expected logits [N, C], or "
            "predicted classes [N] as integers."
        ) from None
    if predicted.ndim == 2 and predicted.shape[1] > 1:
        predicted = predictions(predicted)
    elif predicted.ndim == 2:
        predicted = predicted[:, 0]
    if predicted.dtype == object:  # for example integers of Python
        predicted = check_labels(predicted, len(predicted), name="predictions")
    integral = predicted.dtype.kind in "iub" or (
        predicted.dtype.kind == "f"
        and np.isfinite(predicted).all()
        and (predicted == np.round(predicted)).all()
    )
    if not integral or predicted.ndim != 1:
        raise UserError(
            f"predictions have shape {np.shape(logits_or_predictions)} and type "
            f"{predicted.dtype}; expected logits [N, C], or predicted classes [N] as "
            "integers."
        )
    labels = check_labels(labels, len(predicted))
    if len(labels) == 0:
        raise UserError("predictions are empty; expected at least one example.")
    return float(np.mean(predicted == labels))


def confusion_matrix(predicted, labels, num_classes: int) -> np.ndarray:
    """Return counts `[C, C]`, with true classes in rows and predicted ones in columns.

    Args:
      predicted: predicted classes `[N]`.
      labels: the true classes `[N]`.
      num_classes: the number of classes, C, at most `MOST_CLASSES`. For more take
        `accuracy_of_classes`, whose memory is linear in C.

    Raises:
      UserError: for a class outside 0 … C−1, or too many classes.

    >>> confusion_matrix([0, 1, 1], [0, 0, 1], num_classes=2)
    array([[1, 1],
           [0, 1]])
    """
    if num_classes > MOST_CLASSES:
        raise UserError(
            f"num_classes is {num_classes}; expected at most "
            f"{MOST_CLASSES}: take accuracy_of_classes(predicted, labels, num_classes)."
        )
    count = count_rows(predicted, "predictions")
    labels = check_labels(labels, count, num_classes)
    predicted = check_labels(predicted, len(labels), num_classes, "predictions")
    cells = labels.astype(np.int64) * num_classes + predicted
    counts = np.bincount(cells, minlength=num_classes**2)
    return counts.reshape(num_classes, num_classes)


def accuracy_of_classes(predicted, labels, num_classes: int) -> np.ndarray:
    """Return the accuracy `[C]` of each class, NaN for a class without examples.

    Time and memory are linear in the numbers of examples and of classes.

    Args:
      predicted: predicted classes `[N]`.
      labels: the true classes `[N]`.
      num_classes: the number of classes, C.

    >>> accuracy_of_classes([0, 1, 1], [0, 0, 1], num_classes=3)
    array([0.5, 1. , nan])
    """
    count = count_rows(labels, "labels")
    labels = check_labels(labels, count, num_classes)
    predicted = check_labels(predicted, len(labels), num_classes, "predictions")
    counts = np.bincount(labels, minlength=num_classes)
    right = np.bincount(labels[labels == predicted], minlength=num_classes)
    return np.where(counts > 0, right / np.maximum(counts, 1), np.nan)


def per_class_accuracy(matrix: np.ndarray) -> np.ndarray:
    """Return the accuracy `[C]` of each class from a confusion matrix `[C, C]`.

    It is NaN for a class without examples.

    >>> per_class_accuracy(np.array([[1, 1], [0, 1]]))
    array([0.5, 1. ])
    """
    counts = np.sum(matrix, axis=1)
    right = np.diagonal(matrix)
    return np.where(counts > 0, right / np.maximum(counts, 1), np.nan)


def log_loss(log_probs, labels) -> float:
    """Return the mean of -log p(label) in nats.

    Args:
      log_probs: log-probabilities `[N, C]`, whose exponentials sum to 1 in each row.
      labels: the true classes `[N]`.

    Raises:
      UserError: for rows that don't sum to 1.

    >>> round(log_loss(np.log([[0.5, 0.5], [0.9, 0.1]]), [0, 0]), 3)
    0.399
    """
    log_probs, labels = _checked(log_probs, labels)
    return float(-log_probs[np.arange(len(labels)), labels].mean())


def calibration_error(log_probs, labels, bins: int = 15) -> float:
    """Return the expected calibration error (Guo et al. 2017).

    Predictions are binned by their confidence, the largest probability. The error is
    the mean over predictions of |accuracy - mean confidence| of their bin.

    Args:
      log_probs: log-probabilities `[N, C]`, whose exponentials sum to 1 in each row.
      labels: the true classes `[N]`.
      bins: the number of bins of equal width over [0, 1].

    >>> round(calibration_error(np.log([[0.3, 0.7], [0.3, 0.7]]), [1, 0]), 3)
    0.2
    """
    place, confidence, right = _binned(log_probs, labels, bins)
    gaps = np.bincount(place, right - confidence, minlength=bins)
    return float(np.abs(gaps).sum() / len(place))


class Reliability(NamedTuple):
    """Confidence and accuracy of predictions in bins of equal width over [0, 1].

    Attributes:
      counts: the number of predictions in each bin, `[bins]`.
      confidence: the mean confidence in each bin `[bins]`; NaN for an empty one.
      accuracy: the accuracy in each bin `[bins]`; NaN for an empty one.
    """

    counts: np.ndarray
    confidence: np.ndarray
    accuracy: np.ndarray


def reliability(log_probs, labels, bins: int = 15) -> Reliability:
    """Return the confidence and accuracy of predictions, binned by their confidence.

    Args:
      log_probs: log-probabilities `[N, C]`, whose exponentials sum to 1 in each row.
      labels: the true classes `[N]`.
      bins: the number of bins.

    >>> found = reliability(np.log([[0.3, 0.7], [0.3, 0.7]]), [1, 0], bins=2)
    >>> found.counts, found.confidence, found.accuracy
    (array([0, 2]), array([nan, 0.7]), array([nan, 0.5]))
    """
    place, confidence, right = _binned(log_probs, labels, bins)
    counts = np.bincount(place, minlength=bins)
    with np.errstate(invalid="ignore"):
        means = [
            np.bincount(place, values, minlength=bins) / counts
            for values in (confidence, right)
        ]
    return Reliability(counts, *means)


def metrics(log_probs, labels) -> dict[str, float]:
    """Return the accuracy, the log-loss and the calibration error of log-probabilities.

    >>> metrics(np.log([[0.5, 0.5], [0.9, 0.1]]), [0, 0])["accuracy"]
    1.0
    """
    return {
        "accuracy": accuracy(log_probs, labels),
        "log_loss": log_loss(log_probs, labels),
        "calibration_error": calibration_error(log_probs, labels),
    }


def _binned(log_probs, labels, bins):
    """Return the bin and the confidence of each prediction, and whether it is right."""
    log_probs, labels = _checked(log_probs, labels)
    confidence = np.exp(log_probs.max(axis=1))
    right = log_probs.argmax(axis=1) == labels
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    return place, confidence, right


def _checked(log_probs, labels):
    """Return log-probabilities `[N, C]` in float64, and labels that fit them."""
    log_probs = np.asarray(log_probs, np.float64)
    if log_probs.ndim != 2 or not log_probs.size:
        raise UserError(
            f"log-probabilities have shape {log_probs.shape}; expected [N, classes]."
        )
    off = np.abs(np.exp(log_probs).sum(axis=1) - 1).max()
    if not off < 1e-3:
        raise UserError(
            f"probabilities sum to 1 only within {off:g}; expected log-softmaxes."
        )
    return log_probs, check_labels(labels, *log_probs.shape)
