"""Kept figures, which have a white ground, as they look on a dark page."""

import re
from pathlib import Path

import numpy as np
from PIL import Image
from run_cells import ROOT, THEMES, digest
from scipy import ndimage

CACHE = ROOT / ".cache/docs/dark"
SHOWN = re.compile(r'<img\b[^>]*?src="[^"]*?img/results/[^"#]*\.png"[^>]*>')
WHITE = 0.98  # the least of a pixel's channels on the ground
SMALLEST = 9  # pixels along the shorter side of a picture; letters are smaller


def figures() -> list[Path]:
    """Return the kept figures."""
    return sorted((ROOT / "results").rglob("*.png"))


def darkened(path: Path) -> Path:
    """Return the file of a figure as a dark page shows it, made if it is not there."""
    made = CACHE / f"{digest(path)}-{digest(Path(__file__))[:8]}.png"
    if not made.exists():
        made.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.asarray(Image.open(path).convert("RGB"), np.float32) / 255
        Image.fromarray(np.uint8(255 * dark(pixels) + 0.5)).save(made)
    return made


def dark(pixels: np.ndarray) -> np.ndarray:
    """Return a figure `[H, W, 3]` with ink and ground exchanged, colors kept.

    Lightness is inverted, hue is not: white becomes the page's ground, and black the
    color of its text. Dark pictures within the figure, such as digits or densities, are
    left alone.
    """
    ink, ground, _ = (_rgb(color) for color in THEMES["dark"])
    extremes = pixels.max(-1, keepdims=True) + pixels.min(-1, keepdims=True)
    exchanged = ground + (pixels + 1 - extremes) * (ink - ground)
    return np.where(_in_pictures(pixels)[..., None], pixels, exchanged)


def _in_pictures(pixels: np.ndarray) -> np.ndarray:
    """Return the mask `[H, W]` of what dark pictures cover."""
    mask = np.zeros(pixels.shape[:2], bool)
    parts, _ = ndimage.label(pixels.min(-1) < WHITE)
    for place, box in enumerate(ndimage.find_objects(parts), start=1):
        inside = parts[box] == place
        is_picture = min(inside.shape) >= SMALLEST and inside.mean() > 0.7
        if is_picture and pixels[box][inside].mean() < 0.5:
            mask[box] |= ndimage.binary_fill_holes(inside)
    return mask


def _rgb(color: str) -> np.ndarray:
    """Return a color such as "#16181d" as three numbers from 0 to 1."""
    return np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)], np.float32) / 255


def with_both(html: str) -> str:
    """Return a page with a kept figure twice, for light and for dark pages."""
    return SHOWN.sub(_both, html)


def _both(match: re.Match) -> str:
    light = match[0].replace(".png", ".png#only-light")
    return light + match[0].replace(".png", "-dark.png#only-dark")
