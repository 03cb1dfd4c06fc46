"""The flow that all implementations of `images.py` have: its sizes and its work."""

from collections.abc import Iterator
from pathlib import Path

SIDE, PIXELS, LEVELS = 28, 256, 2
SHAPE = SIDE, SIDE, 1
ALPHA, RATE = 1e-5, 1e-3
ROOT = Path(__file__).resolve().parents[1]


def scales() -> Iterator[tuple[int, int]]:
    """Yield the side of the images and the number of channels of each scale."""
    side, channels = SIDE, 1
    for _ in range(LEVELS):
        side, channels = side // 2, 4 * channels
        yield side, channels
        channels //= 2


def multiplications(steps: int, hidden: int) -> int:
    """Return the multiplications of all convolutions of couplings, for one image."""
    total = 0
    for side, channels in scales():
        inputs, outputs = channels // 2, channels  # a scale and a shift for each
        weights = 9 * inputs * hidden + hidden**2 + 9 * hidden * outputs
        total += steps * side**2 * weights
    return total
