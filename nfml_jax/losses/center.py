"""Center loss: softmax, and a term that pulls embeddings to their class's center.

Wen et al. 2016, "A Discriminative Feature Learning Approach for Deep Face Recognition".
"""

from typing import Any, ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp

from nfml_jax.heads import MarginHead, Softmax
from nfml_jax.losses.objective import LossOutput, check_batch, monitored, output
from nfml_jax.ops import devices
from nfml_jax.ops.broadcasting import broadcasting
from nfml_jax.ops.checks import check_number
from nfml_jax.ops.fields import traced
from nfml_jax.ops.masked_reductions import masked_mean

# The name of the collection and its variable in checkpoints.
CENTERS = "centres"


class CenterLoss(nn.Module):
    """Cross entropy + λ/2 ‖x - c_y‖², averaged over the batch: eq. 5.

    `head` is `MarginHead(Softmax())`. The centers `[C, D]` start at zero and are a
    collection, which follows the paper's rule, eq. 4: c ← c - α Σ(c - x) / (1 + n) over
    a batch's n examples of the class. As parameters, their speed would depend on the
    learning rate and on λ, and an optimizer with momentum would go on moving those of
    absent classes. With `axis_name` the batch is that of all devices. A negative label
    is padding. A label of `num_classes` or more raises an error; under jit, where its
    value is unknown, it counts as padding.

    >>> objective = CenterLoss(num_classes=2, embedding_size=2, weight=0.1)
    >>> x, labels = jnp.array([[1.0, 0.0], [0.0, 1.0]]), jnp.array([0, 1])
    >>> params = {"head": {"weights": jnp.eye(2), "bias": jnp.zeros(2)}}
    >>> variables = {"params": params, "centres": {"centres": jnp.zeros((2, 2))}}
    >>> apply = jax.jit(lambda *batch: objective.apply(*batch, mutable=["centres"]))
    >>> out, moved = apply(variables, x, labels)
    >>> moved["centres"]["centres"].tolist()  # rate 0.5, one example of each class
    [[0.25, 0.0], [0.0, 0.25]]
    """

    num_classes: int
    embedding_size: int
    weight: Any = traced(0.003)
    rate: Any = traced(0.5)
    axis_name: str | None = None
    paper: ClassVar[str] = "Wen et al. 2016"
    use: ClassVar[str] = (
        "softmax whose classes should be compact; for comparison with early face "
        "recognition"
    )
    needs: ClassVar[str] = "labels of known classes"

    def __post_init__(self):
        check_number(self, 0.0, weight=self.weight)
        check_number(self, 0.0, 1.0, rate=self.rate)
        super().__post_init__()

    def setup(self):
        self.head = MarginHead(self.num_classes, Softmax())
        shape = self.num_classes, self.embedding_size
        self.centers = self.variable(CENTERS, CENTERS, jnp.zeros, shape, jnp.float32)

    @broadcasting
    def __call__(
        self, embeddings: jax.Array, labels: jax.Array, step: jax.Array | None = None
    ) -> LossOutput:
        """Return the loss of embeddings `[B, D]` with integer labels `[B]`.

        The loss takes the centers from before this batch, which then moves them if
        their collection is mutable. It logs `accuracy`, `center_distance` (the mean of
        ‖x - c_y‖²) and `monitored` of this device's examples.
        """
        embeddings, labels = check_batch(embeddings, labels, self.num_classes)
        out = self.head(embeddings, labels, step)
        target = jax.nn.one_hot(labels, self.num_classes, dtype=embeddings.dtype)
        known = (labels >= 0) & (labels < self.num_classes)
        # A padding row reads an arbitrary center, and has weight 0.
        apart = jnp.sum((embeddings - self.centers.value[labels]) ** 2, axis=-1)
        if self.is_mutable_collection(CENTERS) and not self.is_initializing():
            self._move(embeddings, target)
        lost = out.loss + self.weight / 2.0 * apart
        logged = {
            "accuracy": masked_mean(out.correct, known),
            "center_distance": masked_mean(apart, known),
            **monitored(embeddings, known),
        }
        loss = devices.weighted_mean(lost, known.astype(lost.dtype), self.axis_name)
        return output(loss, logged)

    @broadcasting
    def logits(self, embeddings: jax.Array) -> jax.Array:
        """Return scores `[B, C]` of embeddings `[B, D]`, for prediction."""
        return self.head.logits(embeddings)

    def formula(self) -> str:
        """Return the formula of an example's loss, with this loss's numbers in it."""
        return f"-log softmax(Wx + b)_y + {self.weight:g}/2·‖x - c_y‖²"

    def _move(self, embeddings, target):
        """Move each center towards the mean of its class's examples, by eq. 4."""
        centers = self.centers.value
        count = devices.total(jnp.sum(target, axis=0), self.axis_name)[:, None]
        summed = jnp.matmul(target.T, embeddings, precision=jax.lax.Precision.HIGHEST)
        summed = devices.total(summed, self.axis_name)
        moved = centers - self.rate * (count * centers - summed) / (1.0 + count)
        self.centers.value = moved.astype(centers.dtype)
