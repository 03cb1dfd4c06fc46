"""k-means by Lloyd's algorithm, from the start of greedy k-means++.

Arthur and Vassilvitskii, "k-means++: The Advantages of Careful Seeding", SODA 2007,
where greedy means that of several draws the one that leaves the least is taken.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from nfml_jax.errors import UserError
from nfml_jax.evaluation.arrays import blocks, check_vectors

SCORES = 2**20
"""Distances between rows and centres held at a time (4 MiB)."""


@dataclasses.dataclass(frozen=True)
class Clustering:
    """The cluster [N] of each row, the clusters' `centres` [K, D], and the `inertia`.

    The inertia is the sum of squared distances to the own centre; `iterations`, how
    often centres moved, and `converged`, whether they had come to rest by then.
    """

    clusters: np.ndarray
    centres: np.ndarray
    inertia: float
    iterations: int
    converged: bool


def kmeans(x, k: int, seed: int = 0, iterations: int = 100) -> Clustering:
    """`k` clusters of rows [N, D], the same for the same seed.

    A cluster that loses all its rows starts again at the row farthest from its centre.
    Of equally near centres the lowest index wins. Rows are compared with centres some
    at a time, `SCORES` distances. For cosine, give unit rows. UserError for k outside
    1 … N, or rows that are empty or not finite.
    """
    x = check_vectors(x, "rows")
    if not 1 <= k <= len(x):
        raise UserError(f"k is {k}; expected 1 to the {len(x)} rows there are.")
    if iterations < 1:
        raise UserError(f"iterations are {iterations}; expected 1 or more.")
    mean = x.mean(axis=0)
    x = x - mean  # squared distances cancel less about the origin
    size = min(len(x), max(1, SCORES // k))
    tiles = jnp.asarray(np.stack(list(blocks(x, size))))
    centres = np.asarray(_plus_plus(jnp.asarray(x), k, jax.random.key(seed)))
    clusters, converged, moves = None, False, 0
    while True:
        found, far, sums, counts = _assign(tiles, centres, len(x))
        last, clusters = clusters, np.ravel(found)[: len(x)]
        far = np.ravel(far)[: len(x)]
        converged = last is not None and np.array_equal(last, clusters)
        if converged or moves == iterations:
            break
        sums, counts = np.asarray(sums), np.asarray(counts)
        centres = sums / np.maximum(counts, 1)[:, None]
        empty = np.flatnonzero(counts == 0)
        centres[empty] = x[np.argsort(-far, kind="stable")[: len(empty)]]
        moves += 1
    return Clustering(
        clusters, centres + mean, float(far.sum(dtype=np.float64)), moves, converged
    )


@functools.partial(jax.jit, static_argnames="k")
def _plus_plus(x, k, key):
    """k rows [k, D]: each the best of some drawn by their distance² to those before."""
    trials = min(2 + int(np.log(k)), len(x))
    keys = jax.random.split(key, k)
    squares = _squares(x)

    def distances(rows):
        """Squared, of x to `rows` [T, D]: [N, T]."""
        products = jnp.matmul(x, rows.T, precision=lax.Precision.HIGHEST)
        return jnp.maximum(squares[:, None] - 2 * products + _squares(rows), 0)

    def draw(i, state):
        chosen, nearest = state
        # The largest of perturbed logarithms are draws without replacement.
        perturbed = jnp.log(nearest) + jax.random.gumbel(keys[i], nearest.shape)
        rows = x[lax.top_k(perturbed, trials)[1]]
        left = jnp.minimum(nearest[:, None], distances(rows))
        best = jnp.argmin(left.sum(axis=0))
        return chosen.at[i].set(rows[best]), left[:, best]

    first = x[jax.random.randint(keys[0], (1,), 0, len(x))]
    chosen = jnp.zeros((k, x.shape[1]), x.dtype).at[0].set(first[0])
    return lax.fori_loop(1, k, draw, (chosen, distances(first)[:, 0]))[0]


@jax.jit
def _assign(tiles, centres, count):
    """Nearest centre and squared distance to it, [T, S] each, sums and counts of all.

    `tiles` [T, S, D] hold the `count` rows and padding, which counts nowhere.
    """
    k = len(centres)
    half_squares = _squares(centres) / 2

    def step(carry, tile):
        sums, counts, start = carry
        products = jnp.matmul(tile, centres.T, precision=lax.Precision.HIGHEST)
        nearest = jnp.argmax(products - half_squares, axis=1)
        far = _squares(tile - centres[nearest])
        own = (nearest[:, None] == jnp.arange(k)).astype(tile.dtype)
        own *= (start + jnp.arange(len(tile)) < count)[:, None]
        # A product, as sums by index may come in any order on a GPU.
        sums += jnp.matmul(own.T, tile, precision=lax.Precision.HIGHEST)
        return (sums, counts + own.sum(axis=0), start + len(tile)), (nearest, far)

    start = jnp.zeros_like(centres), jnp.zeros(k), jnp.int32(0)
    (sums, counts, _), (nearest, far) = lax.scan(step, start, tiles)
    return nearest, far, sums, counts


def _squares(x):
    return jnp.sum(x * x, axis=-1)
