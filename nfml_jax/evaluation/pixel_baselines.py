"""Bits per dimension without a network: baselines that a density of images must beat.

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
from nfml_jax.evaluation.pixel_gaussian import (
    MOST_VALUES,
    chunks,
    gaussian,
    rows_of,
)
from nfml_jax.ops.levels import check_levels

SMOOTHING = 20


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
    for images in chunks(test):
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
    rows = rows_of(train)
    common = _common(train, levels)
    ledger = Ledger(test.shape[1:], levels=levels, exact=True)
    total = np.zeros(len(test))
    # One place at a time: all histograms may be large.
    for place in range(rows.shape[1]):
        counts = np.bincount(rows[:, place], minlength=levels)
        logs = np.log((counts + SMOOTHING * common) / (len(rows) + SMOOTHING))
        total += logs[rows_of(test)[:, place]]
    ledger.add(probability=total)
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


def _common(images, levels):
    counts = np.ones(levels)
    for part in chunks(images):
        counts += np.bincount(part.ravel(), minlength=levels)
    return counts / counts.sum()


def _code(test, levels, compress) -> BitsPerDim:
    kind = np.uint8 if levels <= 256 else np.dtype("<u2")
    content = np.ascontiguousarray(test, kind).tobytes()
    size = 8 * len(compress(content)) / np.asarray(test).size
    nothing = np.zeros(0)
    facts = {"levels": levels, "dimensions": math.prod(np.shape(test)[1:])}
    return BitsPerDim(size, math.nan, CODE, nothing, {}, facts)
