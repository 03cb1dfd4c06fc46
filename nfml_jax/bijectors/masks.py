"""Masks of the coordinates that a coupling leaves as they are.

A mask gives booleans: True for what stays and conditions the rest. Those of a
`Coupling` are functions of the event's size that give `[D]`, and those of a
`MaskedCoupling` functions of an image's shape that give `[H, W, C]`.
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


def checkerboard(shape: tuple[int, int, int]) -> np.ndarray:
    """Return booleans `[H, W, C]`: pixels whose row plus column is odd stay.

    >>> checkerboard((2, 3, 1))[..., 0].tolist()
    [[False, True, False], [True, False, True]]
    """
    rows, columns, _ = np.indices(shape)
    return (rows + columns) % 2 == 1


def other_checkerboard(shape: tuple[int, int, int]) -> np.ndarray:
    """Return booleans `[H, W, C]`: pixels whose row plus column is even stay."""
    return ~checkerboard(shape)


def first_channels(shape: tuple[int, int, int]) -> np.ndarray:
    """Return booleans `[H, W, C]`: the first half of the channels stays."""
    return np.broadcast_to(halves(shape[-1]), shape)


def last_channels(shape: tuple[int, int, int]) -> np.ndarray:
    """Return booleans `[H, W, C]`: the second half of the channels stays."""
    return ~first_channels(shape)
