"""The Mahalanobis metric d(a, b) = ‖L (a - b)‖, whose square is (a - b)ᵀ W (a - b).

W = LᵀL can't help being symmetric and positive semi-definite, so L is free to learn,
by a closed form or, as if it were a network of one layer, by any loss.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from nfml_jax.errors import UserError


class Mahalanobis(nn.Module):
    """A linear embedding x -> L x, in which the metric is the Euclidean one.

    L is `[rank, D]`, at first the identity (of lower rank: its first rows); None keeps
    all D dimensions. A learner's L is used by `apply(variables(L), x)`.
    """

    rank: int | None = None

    def __call__(self, x: jax.Array) -> jax.Array:
        """Embeddings L x `[..., rank]` of vectors `[..., D]`."""
        return self.embed(x)

    @nn.compact
    def embed(self, x: jax.Array) -> jax.Array:
        """Embeddings L x `[..., rank]` of vectors `[..., D]`."""
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
        """d(a, b) `[...]` of vectors `[..., D]`; its gradient at d = 0 is zero."""
        apart = self.embed(a - b)
        squared = jnp.sum(apart * apart, axis=-1)
        there = squared > 0
        return jnp.where(there, jnp.sqrt(jnp.where(there, squared, 1)), 0)


def variables(matrix) -> dict:
    """The Flax variables of a `Mahalanobis` whose L is `matrix` `[rank, D]`."""
    return {"params": {"L": jnp.asarray(matrix)}}
