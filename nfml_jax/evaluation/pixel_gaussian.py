"""The bits of a normal density of dequantized pixels, from many images or from few."""

import dataclasses
import math

import numpy as np

from nfml_jax.errors import UserError
from nfml_jax.evaluation.bits_per_dim import BitsPerDim, Ledger

CHUNK = 2048
MOST_VALUES = 4096
"""Numbers of an image, at most, for a Gaussian of full covariance."""

MANY = 10
"""Images for each number of an image that need no shrinkage."""

WEIGHTS = (1.0, 0.7, 0.4, 0.2, 0.1, 0.03, 0.01, 3e-3, 1e-3, 1e-4)
"""The weights of the mean variance that are tried with fewer images."""

NOISE = 1 / 12
"""The variance of uniform noise on a level."""


def gaussian(train, test, levels: int = 256) -> BitsPerDim:
    """Return the bits of a normal density of full covariance of dequantized pixels.

    This is the best linear flow of a normal base. Uniform noise has the variance 1/12
    on each level, and the bound's mean over it is exact, without a draw.

    With fewer than `MANY` images for each of an image's D numbers, the covariance S is
    shrunk to (1 - λ) S + λ (tr S / D) I, as that of Ledoit & Wolf (2004). The weight λ
    of `WEIGHTS` is the best for every fifth training image given the others, and is
    the fact "shrinkage" of the result.

    Raises:
      UserError: for images of more than `MOST_VALUES` numbers.

    >>> images = np.arange(8).reshape(2, 2, 2, 1) % 4
    >>> found = gaussian(images, images, levels=4)
    >>> print(found, found.facts["shrinkage"])
    0.2546 ± 0.0000 bits/dim (bound) 1.0
    """
    rows = rows_of(train)
    size = rows.shape[1]
    if size > MOST_VALUES:
        raise UserError(
            f"images have {size} values; a full covariance takes {MOST_VALUES} at most."
        )
    weight = 0.0 if len(rows) >= MANY * size else _best_weight(rows)
    ledger = Ledger(test.shape[1:], levels=levels)
    ledger.add(density=_Shrunk.of(rows).bounds(rows_of(test), weight))
    result = ledger.result()
    return dataclasses.replace(result, facts={**result.facts, "shrinkage": weight})


def rows_of(images) -> np.ndarray:
    """Return images as rows `[N, D]`."""
    return np.asarray(images).reshape(len(images), -1)


def chunks(images):
    """Yield images as rows, `CHUNK` at a time."""
    rows = rows_of(images)
    for start in range(0, len(rows), CHUNK):
        yield rows[start : start + CHUNK]


def _best_weight(rows) -> float:
    """Return the weight that is best for every fifth row given the others."""
    tried = np.arange(len(rows)) % 5 == 4
    if not tried.any():
        tried[-1] = len(rows) > 1
    if not tried.any():
        return WEIGHTS[0]
    normal, held_out = _Shrunk.of(rows[~tried]), rows[tried]
    values = [normal.bounds(held_out, weight).mean() for weight in WEIGHTS]
    return WEIGHTS[int(np.argmax(values))]


@dataclasses.dataclass(frozen=True)
class _Shrunk:
    """Normal densities of any shrinkage, by the principal axes of some rows.

    Attributes:
      mean: The mean `[D]`.
      axes: Those principal axes `[D, R]` that the rows span.
      variances: The variances along them `[R]`; it is 0 along all others.
    """

    mean: np.ndarray
    axes: np.ndarray
    variances: np.ndarray

    @classmethod
    def of(cls, rows) -> "_Shrunk":
        mean = rows.mean(axis=0)
        count, size = rows.shape
        if count < size:
            _, scales, axes = np.linalg.svd(rows - mean, full_matrices=False)
            return cls(mean, axes.T, scales**2 / count)
        scatter = np.zeros((size, size))
        for part in chunks(rows):
            centered = part - mean
            scatter += centered.T @ centered
        variances, axes = np.linalg.eigh(scatter / count)
        return cls(mean, axes, np.maximum(variances, 0))

    def bounds(self, rows, weight: float) -> np.ndarray:
        """Return the log-densities `[N]` of rows, on average over their noise."""
        size, rank = self.axes.shape
        common = weight * self.variances.sum() / size + NOISE
        along = (1 - weight) * self.variances + common
        log_det = np.log(along).sum() + (size - rank) * math.log(common)
        from_noise = NOISE * ((1 / along).sum() + (size - rank) / common)
        constant = -0.5 * (size * math.log(2 * math.pi) + log_det + from_noise)
        found = []
        for part in chunks(rows):
            centered = part - self.mean
            z = (centered @ self.axes) ** 2
            rest = np.maximum((centered**2).sum(axis=1) - z.sum(axis=1), 0)
            found.append(constant - 0.5 * ((z / along).sum(axis=1) + rest / common))
        return np.concatenate(found)
