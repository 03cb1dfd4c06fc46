"""Large margin nearest neighbors: Weinberger and Saul (JMLR 2009).

Rows are pulled towards a few target neighbors of their class, and rows of other
classes pushed out of the way, a margin of one beyond these. Written in L, not in W,
the objective isn't convex, but needs no projection (section 3.4 there).
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
    learner,
    mean_over_rows,
    minimize,
    squared_distances,
    start,
)


@partial(jax.jit, static_argnames="neighbors")
def target_neighbors(x, labels, neighbors: int):
    """The nearest rows `[N, neighbors]` of each row's own class, not counting itself.

    Nearest first; where the class has fewer, the places left say N.
    """
    count = len(x)

    def of_chunk(rows):
        own = (labels[rows, None] == labels) & (jnp.arange(count) != rows[:, None])
        apart = jnp.where(own, squared_distances(x[rows], x), jnp.inf)
        least, found = lax.top_k(-apart, neighbors)
        return jnp.where(least > -jnp.inf, found, count)

    chunks = -(-count // CHUNK)
    rows = jnp.minimum(jnp.arange(chunks * CHUNK), count - 1).reshape(chunks, CHUNK)
    return lax.map(of_chunk, rows).reshape(-1, neighbors)[:count]


def lmnn_objective(matrix, x, labels, targets, push):
    """(1 - μ) pull + μ push, eqs. 11-13, as a mean over rows.

    Pull sums the squared distances from a row to its `targets [N, K]` (N where there is
    none), push the hinges [1 + d(i, target)² - d(i, other)²]₊ over these and the rows
    of other classes; `push` is μ.
    """
    z = x @ matrix.T
    count = len(z)

    def of_chunk(rows):
        near = targets[rows]
        there = near < count
        # Differences, as the matrix product rounds what is small.
        to_targets = z[rows, None] - z[jnp.minimum(near, count - 1)]
        reach = jnp.sum(to_targets**2, axis=-1)
        others = labels[rows, None] != labels
        apart = jnp.where(others, squared_distances(z[rows], z), jnp.inf)
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
    """L `[rank, D]` by at most `steps` steps of L-BFGS on all rows at once.

    From the identity, or with a `rank` from principal components; target neighbors are
    those by the Euclidean distance of x, and stay. `push` is the paper's μ.
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
    return minimize("lmnn", lmnn_objective, start(x, rank), *data, steps=steps)
