"""Center loss: softmax, and embeddings drawn to the centre of their class.

Wen et al. 2016, "A Discriminative Feature Learning Approach for Deep Face Recognition".
"""

from typing import Any, ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp

from nfml_jax.heads import MarginHead, Softmax
from nfml_jax.losses.inputs import check_batch
from nfml_jax.losses.output import LossOutput, output
from nfml_jax.losses.watched import watched
from nfml_jax.ops import devices
from nfml_jax.ops.broadcasting import broadcasting
from nfml_jax.ops.checks import check_number
from nfml_jax.ops.masked import masked_mean


class CenterLoss(nn.Module):
    """Cross entropy + λ/2 ‖x - c_y‖², averaged over the batch: eq. 5.

    `head` is `MarginHead(Softmax())`. The centres [C, D], zero at the start, are a
    collection, "centres", and follow the paper's rule, eq. 4: c ← c - α Σ(c - x) /
    (1 + n) over a batch's n examples of the class. As parameters, their speed would
    depend on the learning rate and on λ, and an optimiser with momentum would go on
    moving those of absent classes. With `axis_name` the batch is that of all devices.
    A negative label is padding and takes no part. A label of `num_classes` or more is
    refused; under jit, where it can't be seen, it takes no part either.
    """

    num_classes: int
    embedding_size: int
    weight: Any = 0.003
    rate: Any = 0.5
    axis_name: str | None = None
    paper: ClassVar[str] = "Wen et al. 2016"
    needs: ClassVar[str] = "labels of known classes"

    def __post_init__(self):
        check_number(self, 0.0, weight=self.weight)
        check_number(self, 0.0, 1.0, rate=self.rate)
        super().__post_init__()

    def setup(self):
        self.head = MarginHead(self.num_classes, Softmax())
        shape = self.num_classes, self.embedding_size
        self.centres = self.variable(
            "centres", "centres", jnp.zeros, shape, jnp.float32
        )

    @broadcasting
    def __call__(
        self, embeddings: jax.Array, labels: jax.Array, step: jax.Array | None = None
    ) -> LossOutput:
        """Return the loss of embeddings [B, D] with integer labels [B].

        The centres are those from before this batch, which then moves them where their
        collection is mutable. Logged are `accuracy`, `center_distance`, the mean of
        ‖x - c_y‖², and what is `watched`, all of this device's examples.
        """
        embeddings, labels = check_batch(embeddings, labels, self.num_classes)
        out = self.head(embeddings, labels, step)
        own = jax.nn.one_hot(labels, self.num_classes, dtype=embeddings.dtype)
        known = (labels >= 0) & (labels < self.num_classes)
        # A row of padding has some class's centre, and weighs nothing.
        apart = jnp.sum((embeddings - self.centres.value[labels]) ** 2, axis=-1)
        if self.is_mutable_collection("centres") and not self.is_initializing():
            self._move(embeddings, own)
        lost = out.loss + self.weight / 2.0 * apart
        logged = {
            "accuracy": masked_mean(out.correct, known),
            "center_distance": masked_mean(apart, known),
            **watched(embeddings, known),
        }
        loss = devices.weighted_mean(lost, known.astype(lost.dtype), self.axis_name)
        return output(loss, logged)

    @broadcasting
    def logits(self, embeddings: jax.Array) -> jax.Array:
        """Scores [B, C] of embeddings [B, D], for prediction."""
        return self.head.logits(embeddings)

    def formula(self) -> str:
        """An example's loss as a person writes it, with its numbers in it."""
        return f"-log softmax(Wx + b)_y + {self.weight:g}/2·‖x - c_y‖²"

    def _move(self, embeddings, own):
        centres = self.centres.value
        count = devices.total(jnp.sum(own, axis=0), self.axis_name)[:, None]
        summed = jnp.matmul(own.T, embeddings, precision=jax.lax.Precision.HIGHEST)
        summed = devices.total(summed, self.axis_name)
        moved = centres - self.rate * (count * centres - summed) / (1.0 + count)
        self.centres.value = moved.astype(centres.dtype)
