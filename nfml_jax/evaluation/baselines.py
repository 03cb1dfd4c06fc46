"""Embeddings that need no network: pixels, whitened PCA, and LDA.

A network is worth what it gains over these on the same test. Each baseline is a
function of images that returns embeddings. PCA and LDA are fitted to training images
only. The cost is bounded: images are averaged over blocks of pixels until at most
`VALUES` numbers of each are left, and callers use at most `ROWS` training images.
"""

from collections.abc import Callable

import numpy as np

from nfml_jax.ops.distances import unit
from nfml_jax.ops.labels import check_labels

VALUES = 784
"""The most numbers of an image: pixels times channels, after averaging."""

ROWS = 4_000
"""The most training images that callers use."""

COMPONENTS = 128
"""The most principal components and discriminants."""

CHUNK = 1024
FAINT = 1e-6
SHRINKAGE = 0.01

Embed = Callable[[np.ndarray], np.ndarray]


def pixels(images) -> np.ndarray:
    """Return the pixels of images as unit rows `[N, P]`, with P ≤ `VALUES`.

    Images of more than `VALUES` numbers are averaged over equal blocks first.

    Args:
      images: uint8 `[N, H, W, C]`.

    >>> pixels(np.full((2, 4, 4, 1), 255, np.uint8)).shape
    (2, 16)
    """
    _, height, width, channels = images.shape
    side = 1
    while -(-height // side) * -(-width // side) * channels > VALUES:
        side += 1
    rows = [
        _averaged(np.asarray(images[i : i + CHUNK]), side)
        for i in range(0, len(images), CHUNK)
    ]
    return unit(np.concatenate(rows))


def _averaged(images, side) -> np.ndarray:
    """Return images as rows `[N, P]`, averaged over blocks of `side` by `side`."""
    _, height, width, _ = images.shape
    pad = [(0, 0), (0, -height % side), (0, -width % side), (0, 0)]
    x = np.pad(images, pad, mode="edge").astype(np.float32) / 255
    n, height, width, channels = x.shape
    x = x.reshape(n, height // side, side, width // side, side, channels)
    return x.mean(axis=(2, 4)).reshape(n, -1)


def fit(images, labels) -> dict[str, Embed]:
    """Return the baselines by name: "pixels", "pca" and "lda".

    Each is a function of images `[M, H, W, C]` that returns embeddings `[M, D]`, to be
    compared by their cosine. "pca" and "lda" are left out if the images don't vary, and
    "lda" if no class has two images.

    Args:
      images: training images, uint8 `[N, H, W, C]`.
      labels: integers `[N]`.

    >>> images = np.arange(64, dtype=np.uint8).reshape(4, 4, 4, 1)
    >>> embedders = fit(images, [0, 0, 1, 1])
    >>> {name: embed(images).shape for name, embed in embedders.items()}
    {'pixels': (4, 16), 'pca': (4, 2), 'lda': (4, 1)}
    """
    labels = check_labels(labels, len(images))
    found = {"pixels": pixels}
    x = pixels(images).astype(np.float64)
    mean = x.mean(axis=0)
    whiten = _whitening(x - mean)
    if not whiten.shape[1]:
        return found
    found["pca"] = lambda images: ((pixels(images) - mean) @ whiten).astype(np.float32)
    _, number, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    if 1 < len(sizes) < len(labels):
        discriminate = whiten @ _discriminants((x - mean) @ whiten, number, sizes)
        found["lda"] = lambda images: ((pixels(images) - mean) @ discriminate).astype(
            np.float32
        )
    return found


def discriminants(rows, labels, components=COMPONENTS) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean `[P]` and Fisher's axes `[P, K]` of rows.

    The axes are found among the first `components` principal axes. They are the
    principal axes themselves if no class has two rows. K is 0 if the rows don't vary.

    Args:
      rows: `[N, P]`.
      labels: integers `[N]`.
      components: the number of principal axes, at most.

    >>> rows = [[0.0, 0.0], [0.0, 1.0], [5.0, 0.0], [5.0, 1.0]]
    >>> mean, axes = discriminants(rows, [0, 0, 1, 1])
    >>> mean.tolist(), axes.shape
    ([2.5, 0.5], (2, 1))
    """
    rows = np.asarray(rows, np.float64)
    mean = rows.mean(axis=0)
    whiten = _whitening(rows - mean, components)
    _, number, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    if whiten.shape[1] and 1 < len(sizes) < len(labels):
        whiten = whiten @ _discriminants((rows - mean) @ whiten, number, sizes)
    return mean, whiten


def _whitening(centered, components=COMPONENTS) -> np.ndarray:
    """Return axes `[P, K]` on which centered rows `[N, P]` have unit variance.

    They are the first `components` principal axes, but at most half as many as rows,
    because the last axes of few rows are noise.
    """
    values, axes = np.linalg.eigh(centered.T @ centered / len(centered))
    order = np.argsort(values)[::-1][: min(components, max(1, len(centered) // 2))]
    values, axes = values[order], axes[:, order]
    varies = values > max(FAINT * values[:1].sum(), FAINT**2)
    return axes[:, varies] / np.sqrt(values[varies])


def _discriminants(rows, number, sizes) -> np.ndarray:
    """Return Fisher's axes `[K, C - 1]` of whitened rows `[N, K]` with class `number`s.

    The scatter within classes has unit size along each axis. It is shrunk a little
    towards the identity, because classes may have few rows.
    """
    sums = np.zeros((len(sizes), rows.shape[1]))
    np.add.at(sums, number, rows)
    means = sums / sizes[:, None]
    inner = rows - means[number]
    within = inner.T @ inner / len(rows)
    size = np.trace(within) / len(within)
    within += (SHRINKAGE * size + FAINT) * np.eye(len(within))
    values, axes = np.linalg.eigh(within)
    root = axes / np.sqrt(np.maximum(values, FAINT))
    between = (means * np.sqrt(sizes / len(rows))[:, None]) @ root
    _, _, directions = np.linalg.svd(between, full_matrices=False)
    return root @ directions[: len(sizes) - 1].T
