"""The spread of embeddings: alignment, uniformity, hubness and spectrum."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from nfml_jax.errors import UserError
from nfml_jax.evaluation.class_angles import class_means
from nfml_jax.evaluation.inputs import check_needed
from nfml_jax.evaluation.neighbors import nearest_others
from nfml_jax.evaluation.tiles import TILE, pair_tiles
from nfml_jax.ops.broadcasting import broadcasting
from nfml_jax.ops.distances import unit
from nfml_jax.ops.labels import check_labels


def alignment(embeddings, labels) -> float:
    """Return the mean squared distance between two unit embeddings of one class.

    The mean is over all pairs of one class. It is 0 when each class is a point. Wang
    and Isola, ICML 2020, with α = 2.

    Args:
      embeddings: `[N, D]`, of any length.
      labels: integers `[N]`.

    Raises:
      UserError: if no class has two examples.

    >>> round(alignment([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0]], [0, 0, 1]), 3)
    0.4
    """
    embeddings = check_needed(embeddings)
    labels = check_labels(labels, len(embeddings))
    means, classes = class_means(embeddings, labels)
    own = np.searchsorted(classes, labels)
    counts = np.bincount(own)
    pairs = np.sum(counts * (counts - 1) / 2)
    if not pairs:
        raise UserError(
            f"Each of the {len(labels)} examples is the only one of its class; "
            "expected a class with two or more."
        )
    # Squared distances over pairs of a class sum to n times those from its mean.
    squares = np.sum((unit(embeddings) - means[own]) ** 2, axis=1, dtype=np.float64)
    return float(np.sum(counts[own] * squares) / pairs)


@functools.partial(jax.jit, static_argnames="t")
@broadcasting
def _potential_tile(rows, columns, t):
    """Return the sum of exp(-t ‖x - y‖²) over the pairs of a tile that count."""
    (a, i), (b, j) = rows, columns
    # In full float32, though the default of some hardware is coarser.
    products = jnp.matmul(a, b.T, precision=lax.Precision.HIGHEST)
    squares = jnp.sum(a * a, axis=1)[:, None] + jnp.sum(b * b, axis=1)[None]
    squares -= 2 * products
    counted = (i[:, None] >= 0) & (i[:, None] < j[None])
    return jnp.sum(jnp.where(counted, jnp.exp(-t * squares), 0))


def uniformity(embeddings, t: float = 2.0, chunk: int = TILE) -> float:
    """Return the log of the mean of exp(-t ‖x - y‖²) over pairs.

    x and y are two unit embeddings. The value is 0 when all embeddings are one point,
    and lower the more evenly they cover the sphere. Wang and Isola, ICML 2020.

    Args:
      embeddings: `[N, D]`, of any length.
      t: the inverse width of the kernel.
      chunk: the number of rows and columns of a tile.

    Raises:
      UserError: for fewer than two embeddings.

    >>> round(uniformity([[1.0, 0.0], [-1.0, 0.0]]), 3)
    -8.0
    """
    embeddings = check_needed(embeddings)
    pairs = len(embeddings) * (len(embeddings) - 1) / 2
    if not pairs:
        raise UserError("embeddings have one row; expected two or more for uniformity.")
    tiles = pair_tiles(unit(embeddings), size=chunk)
    return float(np.log(sum(float(_potential_tile(*two, t)) for two in tiles) / pairs))


def hubness(embeddings, k: int = 10, chunk: int = TILE) -> float:
    """Return the skewness of how often an embedding is among the k nearest of others.

    Neighbors are found by the cosine. The skewness is 0 when all embeddings occur
    equally often, and large when a few hubs are near everything. Radovanović,
    Nanopoulos and Ivanović, JMLR 2010.

    Args:
      embeddings: `[N, D]`, of any length.
      k: the number of neighbors, 1 … N - 1.
      chunk: the number of rows and columns of a tile.

    Raises:
      UserError: for k outside 1 … N - 1.

    >>> round(hubness([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0], [-0.6, 0.8]], k=1), 3)
    0.0
    """
    embeddings = check_needed(embeddings)
    count = len(embeddings)
    if not 1 <= k < count:
        raise UserError(f"k is {k}; expected 1 to {count - 1}, the other embeddings.")
    nearest = nearest_others(embeddings, embeddings, np.arange(count), k, chunk)
    occurrences = np.bincount(nearest.ravel(), minlength=count)
    centered = occurrences - occurrences.mean()
    return float(np.mean(centered**3) / max(occurrences.std(), 1e-12) ** 3)


def spectrum_decay(embeddings) -> float:
    """Return ρ, the KL divergence in nats of uniform from normalized singular values.

    It is 0 when all directions are used equally, and larger the fewer are used. It is
    infinite when unit embeddings `[N, D]` span fewer than min(N, D) directions. As in
    the paper they are not centered: Roth et al., "Revisiting Training Strategies and
    Generalization Performance in Deep Metric Learning", ICML 2020.

    >>> abs(round(spectrum_decay([[1.0, 0.0], [0.0, 2.0]]), 6))
    0.0
    """
    x = unit(check_needed(embeddings))
    if len(x) < x.shape[1]:
        x = x.T
    gram = np.zeros((x.shape[1], x.shape[1]))
    for start in range(0, len(x), TILE):
        rows = x[start : start + TILE].astype(np.float64)
        gram += rows.T @ rows
    squares = np.linalg.eigvalsh(gram)
    if squares[0] <= squares[-1] * len(gram) * np.finfo(np.float32).eps ** 2:
        return float("inf")
    values = np.sqrt(squares)
    return float(-np.mean(np.log(len(values) * values / values.sum())))
