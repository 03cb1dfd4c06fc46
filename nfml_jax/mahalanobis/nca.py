"""Neighborhood components analysis: Goldberger et al. (NeurIPS 2004).

Each row picks another one with probability softmax(-‖L x_i - L x_j‖²). L makes it
likely that the row picks one of its own class.
"""

import jax.numpy as jnp

from nfml_jax.mahalanobis.learner import (
    check_neighbors,
    initial_matrix,
    learner,
    mean_over_rows,
    minimize,
    plain_squared_distances,
)


def nca_objective(matrix, x, labels):
    """Return minus the mean probability of picking one's own class: eqs. 1-3.

    Args:
      matrix: L `[rank, D]`.
      x: rows `[N, D]`, N above 1.
      labels: integers `[N]`.
    """
    z = x @ matrix.T

    def of_chunk(rows):
        others = jnp.arange(len(z)) != rows[:, None]
        logits = jnp.where(others, -plain_squared_distances(z[rows], z), -jnp.inf)
        odds = jnp.exp(logits - logits.max(axis=1, keepdims=True))
        own = labels[rows, None] == labels
        return -jnp.sum(jnp.where(own, odds, 0), axis=1) / jnp.sum(odds, axis=1)

    return mean_over_rows(of_chunk, len(z))


@learner
def nca(x, labels, *, rank: int | None = None, steps: int = 100):
    """Return L `[rank, D]`, learned by at most `steps` steps of L-BFGS on all rows.

    It starts from the identity, or from principal axes if there is a `rank`. Nothing
    regularizes L: few rows in many dimensions can be memorized, and fewer steps help.

    Args:
      x: rows `[N, D]`.
      labels: integers `[N]`.
      rank: the number of rows of L, or None for D.
      steps: the number of steps, at most.

    Raises:
      UserError: for fewer than two classes, no class of two rows, or a rank beyond D.

    >>> x = [[0.0, 0.0], [1.0, 0.1], [0.5, 0.2], [0.0, 1.0], [1.0, 1.1], [0.5, 1.2]]
    >>> L = nca(x, [0, 0, 0, 1, 1, 1], steps=5)
    >>> bool(abs(L[0, 0]) < abs(L[1, 1]))  # the first column is irrelevant
    True
    """
    check_neighbors(labels, "nca")
    return minimize(
        "nca", nca_objective, initial_matrix(x, rank), x, labels, steps=steps
    )
