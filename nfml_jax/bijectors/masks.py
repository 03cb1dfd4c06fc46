"""Masks of the coordinates that a coupling leaves as they are.

A mask is a function of the event's size that gives booleans `[D]`: True for what stays
and conditions the rest.
"""

import numpy as np


def halves(event_dim: int) -> np.ndarray:
    """The first half stays; the second, with the odd coordinate, is transformed."""
    return np.arange(event_dim) < event_dim // 2


def alternating(event_dim: int) -> np.ndarray:
    """Every second coordinate stays: 1, 3, 5, ..."""
    return np.arange(event_dim) % 2 == 1


def second_half(event_dim: int) -> np.ndarray:
    """Return a mask where the second half, with the odd coordinate, stays."""
    return ~halves(event_dim)
