"""The contract of pair losses, which compare an anchor to positives and negatives.

A pair loss is a frozen dataclass around one pure function of a block of anchors against
references, and `PairObjective` makes an objective of it. Positives are other examples
of the anchor's class (or other views of its image), and negatives are examples of other
classes.
"""

import dataclasses
from typing import ClassVar, NamedTuple

import jax
from flax import struct

from nfml_jax.losses.metrics import METRICS
from nfml_jax.ops.checks import check_choice


class Row(NamedTuple):
    """The loss of each anchor, all `[A]`, or `[T, A]` for a loss of T terms.

    `weight` is the anchor's weight, which is 0 if it has no pairs. The loss of a batch
    is Σ weight·loss / Σ weight over the anchors of all devices, summed over the terms.
    `active` in [0, 1] is the share of the anchor's pairs or triplets with a loss above
    0; None means that it follows from `loss`.

    >>> import jax.numpy as jnp
    >>> row = Row(loss=jnp.array([0.5, 0.0]), weight=jnp.array([1.0, 0.0]))
    >>> float(jnp.sum(row.weight * row.loss) / jnp.sum(row.weight))
    0.5
    """

    loss: jax.Array
    weight: jax.Array
    active: jax.Array | None = None


@struct.dataclass
class Pairs:
    """A block of anchors `[A, D]` against references `[R, D]`, both with labels.

    `values` `[A, R]` are the loss's metric. `positive` and `negative` `[A, R]` mark the
    pairs of one class and of two classes (see `pair_masks`). `keys` `[A]` are random
    keys of the anchors, if the miner is random.

    >>> import jax.numpy as jnp
    >>> x, mask = jnp.ones((1, 2)), jnp.array([[True]])
    >>> Pairs(x @ x.T, mask, ~mask, x, x, jnp.array([0]), jnp.array([0])).keys is None
    True
    """

    values: jax.Array
    positive: jax.Array
    negative: jax.Array
    anchors: jax.Array
    references: jax.Array
    anchor_labels: jax.Array
    reference_labels: jax.Array
    keys: jax.Array | None = None


@dataclasses.dataclass(frozen=True)
class PairLoss:
    """The base class of all pair losses.

    A subclass overrides `rows` and `formula`:

    >>> import jax.numpy as jnp
    >>> @dataclasses.dataclass(frozen=True)
    ... class Hinge(PairLoss):
    ...     margin: float = 0.5
    ...     paper = "none"
    ...
    ...     def rows(self, values, positive, negative):
    ...         lost = jnp.maximum(values - self.margin, 0.0) * negative
    ...         return Row(jnp.max(lost, axis=-1), jnp.any(negative, axis=-1))
    ...
    ...     def formula(self):
    ...         return f"max [cos θ₋ - {self.margin:g}]₊"
    >>> negative = jnp.array([[True, True]])
    >>> Hinge().rows(jnp.array([[0.75, 0.0]]), ~negative, negative).loss.tolist()
    [0.25]
    """

    # A name in METRICS; a loss with a choice of metrics makes it a field. An annotation
    # here, even ClassVar, would make it the first field of such a loss.
    metric = "cosine"
    # Whether the loss was published for unit vectors.
    normalize: ClassVar[bool] = True
    # The name in MINERS of the miner that the loss was published with.
    miner: ClassVar[str] = "all"
    # The source, and the labels that the loss needs, for the table of losses.
    paper: ClassVar[str]
    # The data or the question that it suits, for the page of losses.
    use: ClassVar[str] = ""
    needs: ClassVar[str] = "labels"
    # The number that miners grade by, if the loss has one as a field.
    margin = None

    def __post_init__(self):
        check_choice(self, METRICS, metric=self.metric)

    def parameters(self, num_classes: int) -> dict[str, jax.Array]:
        """Return the initial values of learned numbers, `[]` or `[C]`, by name.

        `rows` gets them by name; those of shape `[C]` as `[A]`, by the anchor's class.
        """
        return {}

    def rows(self, values, positive, negative, **parameters) -> Row:
        """Return the anchors' losses, from values `[A, R]` and masks `[A, R]` of pairs.

        They are finite, with a finite gradient, for all masks.
        """
        raise NotImplementedError

    def of(self, pairs: Pairs, miner, **parameters) -> Row:
        """Return `rows` of the pairs that the miner selects.

        A loss of triplets, or of more than the matrix of values, overrides this method.
        """
        distance = self.distance(pairs.values)
        masks = miner.union(distance, pairs.positive, pairs.negative, pairs.keys)
        return self.rows(pairs.values, *masks, **parameters)

    def distance(self, values: jax.Array) -> jax.Array:
        """Return values as distances, such as 1 - cos θ for the metric "cosine"."""
        return METRICS[self.metric].distance(values)

    def formula(self) -> str:
        """Return the formula of an anchor's loss, with this loss's numbers in it."""
        raise NotImplementedError
