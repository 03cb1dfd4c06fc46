"""Are a classifier's probabilities right: log-loss and calibration."""

import numpy as np

from nfml_jax.errors import UserError
from nfml_jax.evaluation.arrays import check_labels


def log_loss(log_probs, labels) -> float:
    """Mean of -log p(label) in nats, from log-probabilities `[N, C]`."""
    log_probs, labels = _checked(log_probs, labels)
    return float(-log_probs[np.arange(len(labels)), labels].mean())


def calibration_error(log_probs, labels, bins: int = 15) -> float:
    """Expected calibration error of log-probabilities `[N, C]` (Guo et al. 2017).

    Predictions are binned by their confidence, the largest probability; it is the mean
    over predictions of |accuracy - mean confidence| of their bin.
    """
    log_probs, labels = _checked(log_probs, labels)
    confidence = np.exp(log_probs.max(axis=1))
    right = log_probs.argmax(axis=1) == labels
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = np.bincount(place, right - confidence, minlength=bins)
    return float(np.abs(gaps).sum() / len(labels))


def _checked(log_probs, labels):
    log_probs = np.asarray(log_probs, np.float64)
    if log_probs.ndim != 2 or not log_probs.size:
        raise UserError(
            f"log-probabilities have shape {log_probs.shape}; expected [N, classes]."
        )
    off = np.abs(np.exp(log_probs).sum(axis=1) - 1).max()
    if not off < 1e-3:
        raise UserError(
            f"probabilities add up to 1 only within {off:g}; expected log-softmaxes."
        )
    return log_probs, check_labels(labels, *log_probs.shape)
