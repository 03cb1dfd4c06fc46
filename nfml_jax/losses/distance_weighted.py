"""Distance-weighted sampling of negatives: Wu et al. 2017."""

import dataclasses
from typing import ClassVar

import jax
import jax.numpy as jnp

from nfml_jax.errors import UserError
from nfml_jax.losses.metrics import METRICS
from nfml_jax.losses.miners import Miner
from nfml_jax.ops.checks import check_number


@dataclasses.dataclass(frozen=True)
class DistanceWeighted(Miner):
    """One random negative for each positive, with all distances equally likely.

    Wu et al. 2017 (1706.07567), section 4.1: a negative's weight is the inverse of the
    density d^(n-2) (1 - d²/4)^((n-3)/2) of distances on the sphere in n dimensions.
    Distances below `cutoff` are replaced by it. As in the authors' code, negatives
    beyond `limit` have weight 0 because their loss is 0, unless all lie there.

    >>> miner = DistanceWeighted(embedding_size=3)
    >>> distance = jnp.array([[0.0, 0.9, 1.2]])
    >>> negative = jnp.array([[False, True, True]])
    >>> key = jax.random.key(0)[None]
    >>> int(miner.negatives(distance, None, negative, key).sum())
    1
    """

    cutoff: float = 0.5
    limit: float = 1.4
    metric: str = "euclidean"
    embedding_size: int = 3
    by_positive: ClassVar[bool] = True
    random: ClassVar[bool] = True

    def __post_init__(self):
        check_number(self, 1e-3, 2.0, cutoff=self.cutoff)
        check_number(self, 1e-3, limit=self.limit)

    def fitted(self, loss, embedding_size):
        if METRICS[loss.metric].chord is None:
            raise UserError(
                f"Miner DistanceWeighted got metric={loss.metric!r}; expected a "
                "distance of unit vectors, such as 'euclidean' or 'cosine'."
            )
        return dataclasses.replace(
            self, metric=loss.metric, embedding_size=embedding_size
        )

    def negatives(self, distance, at, negative, keys):
        weights = self._weights(distance, negative)
        cumulated = jnp.cumsum(weights, axis=1)
        drawn = jax.vmap(jax.random.uniform)(keys).astype(distance.dtype)
        below = cumulated <= (drawn * cumulated[:, -1])[:, None]
        # Rounding may draw past the last weight.
        last = jnp.max(jnp.where(weights > 0.0, jnp.arange(weights.shape[1]), 0), 1)
        column = jnp.minimum(jnp.sum(below, axis=1), last)
        return negative & (jnp.arange(weights.shape[1]) == column[:, None])

    def _weights(self, distance, negative):
        chord = METRICS[self.metric].chord
        assert chord is not None  # `fitted` refuses other metrics
        d = chord(distance)
        near = negative & (d < self.limit)
        near = jnp.where(jnp.any(near, axis=1, keepdims=True), near, negative)
        d = jnp.clip(d, self.cutoff, 2.0)
        n = self.embedding_size
        inside = jnp.maximum(1.0 - 0.25 * d * d, 1e-8)
        log = (2.0 - n) * jnp.log(d) - 0.5 * (n - 3.0) * jnp.log(inside)
        log = jnp.where(near, log, -jnp.inf)
        highest = jnp.max(log, axis=1, keepdims=True)
        shifted = jnp.where(near, log - jnp.where(near, highest, 0.0), -jnp.inf)
        return jnp.exp(shifted)
