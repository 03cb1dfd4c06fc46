"""Bits per dimension without a network: what any density of images has to beat.

A wrong ledger shows here at once: a flow above the histograms of single pixels has
learned nothing that counts, and one far below a compressor deserves doubt.
"""

import bz2
import math
import zlib
from collections.abc import Callable

import numpy as np

from nfml_jax.errors import UserError
from nfml_jax.evaluation.bits_per_dim import CODE, BitsPerDim, Ledger
from nfml_jax.ops.levels import check_levels

CHUNK = 2048
SMOOTHING = 20
MOST_VALUES = 4096
"""Numbers of an image, at most, for a Gaussian of full covariance."""


def uniform(train, test, levels: int = 256) -> BitsPerDim:
    """Return log2 K: every level is equally likely.

    >>> images = np.arange(8).reshape(2, 2, 2, 1) % 4
    >>> print(uniform(images, images, levels=4))
    2.0000 ± 0.0000 bits/dim (exact)
    """
    count, shape = len(test), test.shape[1:]
    ledger = Ledger(shape, levels=levels, exact=True)
    ledger.add(probability=np.full(count, -math.prod(shape) * math.log(levels)))
    return ledger.result()


def histogram(train, test, levels: int = 256) -> BitsPerDim:
    """Return the bits of one histogram of the levels of all training pixels.

    Each level counts once more than it occurs.

    >>> images = np.arange(8).reshape(2, 2, 2, 1) % 4
    >>> print(histogram(images, images, levels=4))
    2.0000 ± 0.0000 bits/dim (exact)
    """
    logs = np.log(_common(train, levels))
    ledger = Ledger(test.shape[1:], levels=levels, exact=True)
    for images in _chunks(test):
        ledger.add(probability=logs[images].sum(axis=1))
    return ledger.result()


def pixel_histograms(train, test, levels: int = 256) -> BitsPerDim:
    """Return the bits of a histogram for each place and channel.

    Each is smoothed by `SMOOTHING` more images, whose levels are those of the common
    histogram.

    >>> images = np.arange(8).reshape(2, 2, 2, 1) % 4
    >>> round(pixel_histograms(images, images, levels=4).mean, 3)
    1.652
    """
    rows = _rows(train)
    common = _common(train, levels)
    ledger = Ledger(test.shape[1:], levels=levels, exact=True)
    total = np.zeros(len(test))
    # One place at a time: all histograms may be large.
    for place in range(rows.shape[1]):
        counts = np.bincount(rows[:, place], minlength=levels)
        logs = np.log((counts + SMOOTHING * common) / (len(rows) + SMOOTHING))
        total += logs[_rows(test)[:, place]]
    ledger.add(probability=total)
    return ledger.result()


def gaussian(train, test, levels: int = 256) -> BitsPerDim:
    """Return the bits of a normal density of full covariance of dequantized pixels.

    This is the best linear flow of a normal base. Uniform noise has the variance 1/12
    on each level, and the bound's mean over it is exact, without a draw.

    >>> images = np.arange(8).reshape(2, 2, 2, 1) % 4
    >>> print(gaussian(images, images, levels=4))
    0.2546 ± 0.0000 bits/dim (bound)
    """
    rows = _rows(train)
    size = rows.shape[1]
    if size > MOST_VALUES:
        raise UserError(
            f"images have {size} values; a full covariance takes {MOST_VALUES} at most."
        )
    mean = rows.mean(axis=0) + 0.5
    scatter = np.zeros((size, size))
    for part in _chunks(train):
        centered = part + 0.5 - mean
        scatter += centered.T @ centered
    covariance = scatter / len(rows) + np.eye(size) / 12
    root = np.linalg.cholesky(covariance)
    inverse = np.linalg.inv(root)
    log_det = 2 * np.log(np.diag(root)).sum()
    from_noise = (inverse**2).sum() / 12
    constant = -0.5 * (size * math.log(2 * math.pi) + log_det + from_noise)
    ledger = Ledger(test.shape[1:], levels=levels)
    for part in _chunks(test):
        z = (part + 0.5 - mean) @ inverse.T
        ledger.add(density=constant - 0.5 * (z**2).sum(axis=1))
    return ledger.result()


def bz2_code(train, test, levels: int = 256) -> BitsPerDim:
    """Return the bits of all test images in one file compressed by bzip2.

    >>> images = np.zeros((1000, 2, 2, 1), int)
    >>> bz2_code(images, images, levels=4).mean < 0.1
    True
    """
    return _code(test, levels, lambda content: bz2.compress(content, 9))


def zlib_code(train, test, levels: int = 256) -> BitsPerDim:
    """Return the bits of all test images in one file compressed by zlib.

    >>> images = np.zeros((1000, 2, 2, 1), int)
    >>> zlib_code(images, images, levels=4).mean < 0.1
    True
    """
    return _code(test, levels, lambda content: zlib.compress(content, 9))


BASELINES: dict[str, Callable[..., BitsPerDim]] = {
    "uniform": uniform,
    "histogram": histogram,
    "pixel_histograms": pixel_histograms,
    "gaussian": gaussian,
    "zlib": zlib_code,
    "bz2": bz2_code,
}


def trivial_baselines(train, test, levels: int = 256) -> dict[str, BitsPerDim]:
    """Return all `BASELINES` of images of integer levels `[N, H, W, C]`, by name.

    A Gaussian is left out for images of more than `MOST_VALUES` numbers.

    Raises:
      UserError: for images that are no integers in 0, ..., `levels` - 1, or differ in
        shape between the two parts.

    >>> images = np.arange(8).reshape(2, 2, 2, 1) % 4
    >>> list(trivial_baselines(images, images, levels=4))
    ['uniform', 'histogram', 'pixel_histograms', 'gaussian', 'zlib', 'bz2']
    """
    for name, images in (("training", train), ("test", test)):
        check_levels(images, levels, f"{name} images")
    if train.shape[1:] != test.shape[1:]:
        raise UserError(
            f"training images have shape {train.shape[1:]} and test images "
            f"{test.shape[1:]}; give images of one size."
        )
    fits = math.prod(test.shape[1:]) <= MOST_VALUES
    return {
        name: baseline(train, test, levels)
        for name, baseline in BASELINES.items()
        if fits or name != "gaussian"
    }


def _rows(images):
    return np.asarray(images).reshape(len(images), -1)


def _chunks(images):
    rows = _rows(images)
    for start in range(0, len(rows), CHUNK):
        yield rows[start : start + CHUNK]


def _common(images, levels):
    counts = np.ones(levels)
    for part in _chunks(images):
        counts += np.bincount(part.ravel(), minlength=levels)
    return counts / counts.sum()


def _code(test, levels, compress) -> BitsPerDim:
    kind = np.uint8 if levels <= 256 else np.dtype("<u2")
    content = np.ascontiguousarray(test, kind).tobytes()
    size = 8 * len(compress(content)) / np.asarray(test).size
    nothing = np.zeros(0)
    facts = {"levels": levels, "dimensions": math.prod(np.shape(test)[1:])}
    return BitsPerDim(size, math.nan, CODE, nothing, {}, facts)
