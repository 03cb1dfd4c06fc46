"""k-means by Lloyd's algorithm, started by greedy k-means++.

Arthur and Vassilvitskii, "k-means++: The Advantages of Careful Seeding", SODA 2007.
Greedy means that several rows are drawn for each center, and the one that leaves the
least inertia is taken.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from nfml_jax.errors import UserError
from nfml_jax.evaluation.inputs import check_digits, without_common_part
from nfml_jax.evaluation.similarities import from_differences, have_cancelled
from nfml_jax.evaluation.tiles import blocks
from nfml_jax.ops.broadcasting import broadcasting
from nfml_jax.ops.checks import check_integer

SCORES = 2**20
"""The number of distances between rows and centers held at a time (4 MiB)."""


@dataclasses.dataclass(frozen=True)
class Clustering:
    """Clusters of rows.

    `clusters` `[N]` is the cluster of each row, and `centers` are `[K, D]`. `inertia`
    is the sum of squared distances of rows to the centers of their clusters.
    `iterations` counts the times that centers moved, and `converged` says whether they
    came to rest.

    >>> kmeans([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0], [-0.6, 0.8]], k=2).converged
    True
    """

    clusters: np.ndarray
    centers: np.ndarray
    inertia: float
    iterations: int
    converged: bool


def kmeans(x, k: int, seed: int = 0, iterations: int = 100) -> Clustering:
    """Return `k` clusters of rows, the same for the same seed.

    A cluster that loses all its rows starts again at the row farthest from its center.
    Of equally near centers the lowest index wins. At most `SCORES` distances are held
    at a time. For the cosine, pass unit rows.

    Args:
      x: rows `[N, D]`.
      k: the number of clusters, 1 … N.
      seed: the seed of the first centers.
      iterations: the number of times that centers move, at most.

    Raises:
      UserError: for k outside 1 … N, or rows that are empty or not finite.

    >>> found = kmeans([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0], [-0.6, 0.8]], k=2)
    >>> found.clusters == found.clusters[0]
    array([ True,  True, False, False])
    """
    given = check_digits(x, "rows")
    check_integer(None, 0, k=k, iterations=iterations)
    x = without_common_part(given, given)[0]
    common = given[0] - x[0]
    x, scale = _scaled(x.astype(np.float32))
    if not 1 <= k <= len(x):
        raise UserError(f"k is {k}; expected 1 to {len(x)}, the number of rows.")
    if iterations < 1:
        raise UserError(f"iterations are {iterations}; expected 1 or more.")
    mean = x.mean(axis=0)
    x = x - mean  # squared distances cancel less near the origin
    size = min(len(x), max(1, SCORES // k))
    tiles = jnp.asarray(np.stack(list(blocks(x, size))))
    centers = np.asarray(_plus_plus(jnp.asarray(x), k, jax.random.key(seed)))
    clusters, moves = np.zeros(len(x), np.int32), 0
    sums, counts = _sums(x, clusters, k)
    while True:
        found = _nearest(tiles, centers)
        last, clusters = clusters, np.ravel(found)[: len(x)]
        changed = np.flatnonzero(clusters != last)
        converged = moves > 0 and not len(changed)
        if converged or moves == iterations:
            break
        # After some iterations few rows change their cluster.
        for owners, add in ((last, np.subtract), (clusters, np.add)):
            more = _sums(x[changed], owners[changed], k)
            sums, counts = add(sums, more[0]), add(counts, more[1])
        means = (sums / np.maximum(counts, 1)[:, None]).astype(x.dtype)
        if (empty := np.flatnonzero(counts == 0)).size:
            far = np.ravel(_distances(tiles, centers, found))[: len(x)]
            means[empty] = x[np.argsort(-far, kind="stable")[: len(empty)]]
        centers = means
        moves += 1
    far = np.ravel(_distances(tiles, centers, found))[: len(x)]
    inertia = float(far.sum(dtype=np.float64))
    centers = centers + mean
    if scale != 1:
        centers, inertia = centers * np.float64(scale), inertia * scale * scale
    if common.any():
        centers = centers + common
    return Clustering(clusters, centers, inertia, moves, converged)


def _scaled(x):
    """Return rows whose squares neither overflow nor vanish, and their scale.

    The scale is a power of two by which the rows were divided.
    """
    size = float(np.abs(x).max())
    if size == 0 or 1e-9 < size < 1e9:
        return x, 1.0
    scale = 2.0 ** np.floor(np.log2(size))
    return (x / scale).astype(np.float32), float(scale)


def _sums(x, clusters, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the sums `[k, D]` in float64 and the counts `[k]` of clusters' rows."""
    counts = np.bincount(clusters, minlength=k)
    held = np.flatnonzero(counts)
    starts = (np.cumsum(counts) - counts)[held]
    ordered = x[np.argsort(clusters, kind="stable")]
    sums = np.zeros((k, x.shape[1]))
    if len(held):
        sums[held] = np.add.reduceat(ordered, starts, axis=0, dtype=np.float64)
    return sums, counts


@functools.partial(jax.jit, static_argnames="k")
@broadcasting
def _plus_plus(x, k, key):
    """Return k of the rows `[k, D]` as first centers.

    Each is the best of some rows drawn by their squared distance to the centers before.
    """
    trials = min(2 + int(np.log(k)), len(x))
    keys = jax.random.split(key, k)
    squares = _squares(x)

    def distances(rows):
        """Return squared distances `[N, T]` of x to `rows` `[T, D]`."""
        products = jnp.matmul(x, rows.T, precision=lax.Precision.HIGHEST)
        others = _squares(rows)[None]
        total = squares[:, None] + others
        found = jnp.maximum(squares[:, None] - 2 * products + others, 0)
        # Shorter distances are rounding, which matters if there are several.
        near = found <= 16 * float(jnp.finfo(x.dtype).eps) * total
        near &= jnp.sum(near, axis=0) > 1
        return -from_differences(-found.T, near.T, lambda: (rows, x)).T

    def draw(i, state):
        chosen, nearest = state
        # The largest of Gumbel-perturbed logarithms are draws without replacement.
        perturbed = jnp.log(nearest) + jax.random.gumbel(keys[i], nearest.shape)
        rows = x[lax.top_k(perturbed, trials)[1]]
        left = jnp.minimum(nearest[:, None], distances(rows))
        best = jnp.argmin(left.sum(axis=0))
        return chosen.at[i].set(rows[best]), left[:, best]

    first = x[jax.random.randint(keys[0], (1,), 0, len(x))]
    chosen = jnp.zeros((k, x.shape[1]), x.dtype).at[0].set(first[0])
    return lax.fori_loop(1, k, draw, (chosen, distances(first)[:, 0]))[0]


@jax.jit
@broadcasting
def _nearest(tiles, centers):
    """Return the nearest center `[T, S]` of rows in tiles `[T, S, D]`."""
    half_squares = _squares(centers) / 2

    def nearest(tile):
        products = jnp.matmul(tile, centers.T, precision=lax.Precision.HIGHEST)
        scores = products - half_squares[None]
        own_squares = _squares(tile)
        apart = 2 * scores - own_squares[:, None]
        near = have_cancelled(apart, own_squares, 2 * half_squares)
        # If a single center is near, it is the nearest, whatever its score.
        several = jnp.sum(near, axis=1) > 1
        wanted = near & several[:, None]
        apart = from_differences(apart, wanted, lambda: (tile, centers))
        found = jnp.where(several, jnp.argmax(apart, 1), jnp.argmax(scores, 1))
        return found.astype(jnp.int32)

    return lax.map(nearest, tiles)


@jax.jit
@broadcasting
def _distances(tiles, centers, clusters):
    """Return the squared distance `[T, S]` of each row to the center of its cluster."""
    return lax.map(lambda part: _squares(part[0] - centers[part[1]]), (tiles, clusters))


def _squares(x):
    """Return the squared lengths `[...]` of vectors `[..., D]`."""
    return jnp.sum(x * x, axis=-1)
