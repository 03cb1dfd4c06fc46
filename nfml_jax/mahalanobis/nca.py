"""Neighborhood components analysis: Goldberger et al. (NeurIPS 2004).

Each row picks another with probability softmax(-‖L x_i - L x_j‖²); L makes it likely
that it picks one of its own class, which is what a neighbor's vote asks for.
"""

import jax.numpy as jnp

from nfml_jax.mahalanobis.learner import (
    check_neighbors,
    learner,
    mean_over_rows,
    minimize,
    squared_distances,
    start,
)


def nca_objective(matrix, x, labels):
    """Minus the mean probability of picking one's own class: eqs. 1-3.

    Of L `[rank, D]`, rows `[N, D]` and labels `[N]`, N above 1; a scalar in [-1, 0].
    """
    z = x @ matrix.T

    def of_chunk(rows):
        others = jnp.arange(len(z)) != rows[:, None]
        logits = jnp.where(others, -squared_distances(z[rows], z), -jnp.inf)
        odds = jnp.exp(logits - logits.max(axis=1, keepdims=True))
        own = labels[rows, None] == labels
        return -jnp.sum(jnp.where(own, odds, 0), axis=1) / jnp.sum(odds, axis=1)

    return mean_over_rows(of_chunk, len(z))


@learner
def nca(x, labels, *, rank: int | None = None, steps: int = 100):
    """L `[rank, D]` by at most `steps` steps of L-BFGS on all rows at once.

    From the identity, or with a `rank` from principal components. Nothing holds L
    back: few rows in many dimensions can be learned by heart, and fewer steps help.
    """
    check_neighbors(labels, "nca")
    return minimize("nca", nca_objective, start(x, rank), x, labels, steps=steps)
