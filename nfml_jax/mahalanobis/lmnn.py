"""Large margin nearest neighbors: Weinberger and Saul (JMLR 2009).

Rows are pulled towards a few target neighbors of their class. Rows of other classes are
pushed beyond these, by a margin of one. In L instead of W the objective isn't convex,
but needs no projection (section 3.4 of the paper).
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from nfml_jax.errors import UserError
from nfml_jax.mahalanobis.learner import (
    CHUNK,
    check_neighbors,
    initial_matrix,
    learner,
    mean_over_rows,
    minimize,
    plain_squared_distances,
)


@partial(jax.jit, static_argnames="neighbors")
def target_neighbors(x, labels, neighbors: int):
    """Return the nearest rows `[N, neighbors]` of each row's own class, without itself.

    The nearest comes first. If the class has fewer rows, the remaining entries are N.
    """
    count = len(x)

    def of_chunk(rows):
        own = (labels[rows, None] == labels) & (jnp.arange(count) != rows[:, None])
        apart = jnp.where(own, plain_squared_distances(x[rows], x), jnp.inf)
        least, found = lax.top_k(-apart, neighbors)
        return jnp.where(least > -jnp.inf, found, count)

    chunks = -(-count // CHUNK)
    rows = jnp.minimum(jnp.arange(chunks * CHUNK), count - 1).reshape(chunks, CHUNK)
    return lax.map(of_chunk, rows).reshape(-1, neighbors)[:count]


def lmnn_objective(matrix, x, labels, targets, push):
    """Return (1 - μ) pull + μ push, eqs. 11-13, as a mean over rows.

    Pull sums the squared distances of a row to its targets. Push sums the hinges [1 +
    d(i, target)² - d(i, other)²]₊ over targets and over rows of other classes.

    Args:
      matrix: L `[rank, D]`.
      x: rows `[N, D]`.
      labels: integers `[N]`.
      targets: the result `[N, K]` of `target_neighbors`.
      push: the paper's μ.
    """
    z = x @ matrix.T
    count = len(z)

    def of_chunk(rows):
        near = targets[rows]
        there = near < count
        # From differences, because a matrix product rounds small distances.
        to_targets = z[rows, None] - z[jnp.minimum(near, count - 1)]
        reach = jnp.sum(to_targets**2, axis=-1)
        others = labels[rows, None] != labels
        apart = jnp.where(others, plain_squared_distances(z[rows], z), jnp.inf)
        pushed = jnp.maximum(1 + reach[..., None] - apart[:, None], 0).sum(axis=-1)
        terms = (1 - push) * reach + push * pushed
        return jnp.sum(jnp.where(there, terms, 0), axis=1)

    return mean_over_rows(of_chunk, count)


@learner
def lmnn(
    x,
    labels,
    *,
    neighbors: int = 3,
    push: float = 0.5,
    rank: int | None = None,
    steps: int = 100,
):
    """Return L `[rank, D]`, learned by at most `steps` steps of L-BFGS on all rows.

    It starts from the identity, or from principal axes if there is a `rank`. Target
    neighbors are those by the Euclidean distance of x, and don't change.

    Args:
      x: rows `[N, D]`.
      labels: integers `[N]`.
      neighbors: the number of target neighbors of a row, fewer than N.
      push: the paper's μ, in (0, 1).
      rank: the number of rows of L, or None for D.
      steps: the number of steps, at most.

    Raises:
      UserError: for fewer than two classes, no class of two rows, or an option out of
        range.

    >>> x = [[0.0, 0.0], [1.0, 0.1], [0.5, 0.2], [0.0, 1.0], [1.0, 1.1], [0.5, 1.2]]
    >>> L = lmnn(x, [0, 0, 0, 1, 1, 1], neighbors=1, steps=5)
    >>> bool(abs(L[0, 0]) < abs(L[1, 1]))  # the first column is irrelevant
    True
    """
    check_neighbors(labels, "lmnn")
    if not 0 < push < 1:
        raise UserError(f"lmnn got push={push!r}; expected a number between 0 and 1.")
    if not 1 <= neighbors < len(x):
        raise UserError(
            f"lmnn got neighbors={neighbors!r}; expected 1 to {len(x) - 1}, fewer "
            "than there are rows."
        )
    targets = target_neighbors(x, labels, neighbors)
    data = x, labels, targets, np.float64(push)
    return minimize("lmnn", lmnn_objective, initial_matrix(x, rank), *data, steps=steps)
