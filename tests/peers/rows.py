"""Batches of rows and labels for this project and its peers, by NumPy alone."""

import numpy as np

CLASSES, SIZE = 12, 8


def batches() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Embeddings `[12, SIZE]` and labels `[12]`, usual ones and edges."""
    rng = np.random.default_rng(0)
    labels = np.arange(12) % 4
    x = rng.normal(size=(12, SIZE)) + 0.7 * rng.normal(size=(CLASSES, SIZE))[labels]
    twins = x.copy()
    twins[6:] = x[:6]
    cases = {
        "usual": (x, labels),
        "uneven classes": (x, np.repeat([0, 1, 2, 3], [5, 4, 2, 1])),
        "two rows of each class": (x, np.arange(12) % 6),
        "one class": (x, np.zeros(12, int)),
        "no two of a class": (x, np.arange(12)),
        "twins": (twins, labels),
        "long": (1e3 * x, labels),
        "short": (1e-2 * x, labels),
    }
    return {k: (x.astype(np.float32), y) for k, (x, y) in cases.items()}


def proxies(*shape: int) -> np.ndarray:
    """Learned points of classes, `[*shape, SIZE]`."""
    rng = np.random.default_rng(1)
    return rng.normal(size=(*shape, SIZE)).astype(np.float32)


def clusters() -> tuple[np.ndarray, np.ndarray]:
    """120 rows `[N, 8]` of twelve classes that overlap, and their labels."""
    rng = np.random.default_rng(2)
    labels = np.arange(120) % CLASSES
    rows = 1.5 * rng.normal(size=(CLASSES, SIZE))[labels] + rng.normal(size=(120, SIZE))
    return rows.astype(np.float32), labels


def scores() -> tuple[np.ndarray, np.ndarray]:
    """Scores of genuine and of impostor pairs, with ties."""
    rng = np.random.default_rng(3)
    return rng.normal(1, 1, 200).round(1), rng.normal(0, 1, 300).round(1)


def matrix() -> np.ndarray:
    """A linear metric L `[SIZE, SIZE]`, not symmetric."""
    rng = np.random.default_rng(9)
    return 0.3 * np.eye(SIZE) + 0.1 * rng.normal(size=(SIZE, SIZE))
