"""Ten densities of the plane that are hard to fit, each with its exact log-density.

A sampler is an endless training set, and an exact density turns a held-out likelihood
into a Kullback-Leibler divergence. Shapes and sizes follow Grathwohl et al., "FFJORD"
(ICLR 2019), the circles and moons scikit-learn.
"""

import os
from functools import cache

import numpy as np

from nfml_jax.errors import UserError
from nfml_jax.ops.names import look_up
from nfml_jax.synthetic.families import (
    Banana,
    Curves,
    Density,
    Gaussians,
    Picture,
    Pinwheel,
    Rings,
)

SPLITS = ("train", "validation", "test")


def picture(image) -> Picture:
    """Return the density of an image: brightness `[H, W]`, or the path of a file."""
    if isinstance(image, str | os.PathLike):
        return Picture(cache(lambda: _read_gray(image)))
    return Picture(lambda: image)


def draw(density: Density | str, split: str, n: int, seed: int = 0) -> np.ndarray:
    """Draw `n` points, float32 `[n, 2]`, independent for other seeds and splits."""
    named = isinstance(density, str)
    found = look_up(DENSITIES, density, "density") if named else density
    if split not in SPLITS:
        raise UserError(f"split {split!r} is not one of {', '.join(SPLITS)}.")
    return found.sample(np.random.default_rng([seed, SPLITS.index(split)]), n)


def _moons(t):
    upper = np.stack([np.cos(t), np.sin(t)], axis=-1)
    return np.stack([upper, [1, 0.5] - upper])


def _spirals(t):
    one = np.stack([-t * np.cos(t), t * np.sin(t)], axis=-1) / 3
    return np.stack([one, -one])


def _swiss_roll(t):
    return np.stack([t * np.cos(t), t * np.sin(t)], axis=-1)[None] / 5


def _checkerboard():
    return np.indices((4, 4)).sum(axis=0) % 2


def _read_gray(path):
    from PIL import Image

    try:
        return np.asarray(Image.open(path).convert("L"), np.float64)
    except OSError as error:
        raise UserError(f"{path} cannot be read as an image ({error}).") from error


@cache
def _flower():
    """Return the dahlia that comes with scikit-learn, 128 pixels a side."""
    try:
        from sklearn.datasets import load_sample_image
    except ImportError as error:
        raise UserError(
            "the density 'image' is a picture of scikit-learn's; "
            "`pip install scikit-learn pillow`."
        ) from error
    from PIL import Image

    flower = Image.fromarray(load_sample_image("flower.jpg")).convert("L")
    box = (140, 48, 460, 368)
    small = flower.resize((128, 128), Image.Resampling.BOX, box=box)
    # It is squared, so that the background stays dark.
    return np.asarray(small, np.float64) ** 2


_EIGHTHS = np.arange(8) * np.pi / 4

DENSITIES = {
    "circles": Rings(radii=(0.5, 1.0), noise=0.05),
    "moons": Curves(_moons, 0, np.pi, noise=0.1),
    "pinwheel": Pinwheel(),
    "checkerboard": Picture(_checkerboard),
    "two_spirals": Curves(_spirals, 0, 3 * np.pi, noise=0.1, power=1),
    "eight_gaussians": Gaussians(
        tuple((8**0.5 * np.cos(a), 8**0.5 * np.sin(a)) for a in _EIGHTHS),
        noise=0.125**0.5,
    ),
    "rings": Rings(radii=(0.75, 1.5, 2.25, 3.0), noise=0.08),
    "swiss_roll": Curves(_swiss_roll, 1.5 * np.pi, 4.5 * np.pi, noise=0.2),
    "banana": Banana(),
    "image": Picture(_flower),
}
