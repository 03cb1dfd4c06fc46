"""Embeddings of classes, one of them without an example, and their angles."""

import numpy as np


def example(n: int = 203, classes: int = 6, dimensions: int = 5):
    rng = np.random.default_rng(3)
    weights = rng.normal(size=(classes, dimensions))
    labels = rng.choice([0, 1, 2, 4, 5], n)  # no example of class 3
    lengths = rng.uniform(0.5, 20, (n, 1))
    x = lengths * (weights[labels] + 0.5 * rng.normal(size=(n, dimensions)))
    return x.astype(np.float32), labels, weights.astype(np.float32)


def degrees(a, b) -> np.ndarray:
    """All angles [A, B] by acos in float64."""
    a, b = (np.float64(x) / np.linalg.norm(x, axis=1, keepdims=True) for x in (a, b))
    return np.rad2deg(np.arccos(np.clip(a @ b.T, -1, 1)))
