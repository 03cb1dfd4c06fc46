"""The Mahalanobis metric d(a, b) = ‖L (a - b)‖, whose square is (a - b)ᵀ W (a - b).

W = LᵀL is symmetric and positive semi-definite for every L. So L can be learned without
constraints, in closed form or, like a network of one layer, by any loss.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from nfml_jax.errors import UserError


class Mahalanobis(nn.Module):
    """A linear embedding x -> L x, which makes the Mahalanobis metric Euclidean.

    L is `[rank, D]`, and starts as the first rows of the identity. A rank of None keeps
    all D dimensions. The L of a learner is used by `apply(variables(L), x)`.

    >>> metric = Mahalanobis()
    >>> a, b = jnp.array([3.0, 0.0]), jnp.array([0.0, 2.0])
    >>> L = [[2.0, 0.0], [0.0, 4.0]]
    >>> float(metric.apply(variables(L), a, b, method="distance"))
    10.0
    """

    rank: int | None = None

    def __call__(self, x: jax.Array) -> jax.Array:
        """Return embeddings L x `[..., rank]` of vectors `[..., D]`."""
        return self.embed(x)

    @nn.compact
    def embed(self, x: jax.Array) -> jax.Array:
        """Return embeddings L x `[..., rank]` of vectors `[..., D]`."""
        dimensions = x.shape[-1]
        rank = dimensions if self.rank is None else self.rank
        if not 1 <= rank <= dimensions:
            raise UserError(
                f"Mahalanobis got rank={self.rank!r}; expected 1 to the {dimensions} "
                "dimensions of the vectors, or None for all of them."
            )
        start = lambda key, shape: jnp.eye(*shape)  # noqa: E731
        matrix = self.param("L", start, (rank, dimensions))
        return jnp.matmul(x, jnp.asarray(matrix).T, precision=jax.lax.Precision.HIGHEST)

    def distance(self, a: jax.Array, b: jax.Array) -> jax.Array:
        """Return d(a, b) `[...]` of vectors `[..., D]`.

        Its gradient at d = 0 is zero.
        """
        apart = self.embed(a - b)
        squared = jnp.sum(apart * apart, axis=-1)
        there = squared > 0
        return jnp.where(there, jnp.sqrt(jnp.where(there, squared, 1)), 0)


def variables(matrix) -> dict:
    """Return the Flax variables of a `Mahalanobis` whose L is `matrix` `[rank, D]`.

    >>> metric, x = Mahalanobis(rank=1), jnp.array([3.0, 1.0])
    >>> metric.apply(variables([[2.0, 0.0]]), x).tolist()
    [6.0]
    """
    return {"params": {"L": jnp.asarray(matrix)}}
