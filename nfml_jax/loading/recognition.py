"""An encoder and what trains it as one Flax module, built from plain config values."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from nfml_jax.data.augment import to_float
from nfml_jax.heads import HeadOutput, MarginHead, make_head
from nfml_jax.losses import LossOutput, make_loss
from nfml_jax.nets import make_net


class Embedder(nn.Module):
    """Images to embeddings; parameters lie under "encoder".

    Images are uint8 `[B, H, W, C]`, or float already scaled by `to_float`.
    """

    encoder: nn.Module

    def embed(self, images: jax.Array) -> jax.Array:
        """Embeddings `[B, D]`, float32, as they leave the encoder (not normalised)."""
        return self.encoder(_scaled(images), train=False)

    def _embed_to_train(self, images):
        return self.encoder(_scaled(images), train=True)


class EmbeddingClassifier(Embedder):
    """Images to embeddings to classes: the network of the margin-softmax papers.

    The head's parameters lie under "head".
    """

    head: MarginHead

    def __call__(
        self, images: jax.Array, labels: jax.Array, step: jax.Array | None = None
    ) -> HeadOutput:
        """The head's output for a training batch."""
        return self.head(self._embed_to_train(images), labels, step)

    def logits(self, images: jax.Array) -> jax.Array:
        """Class scores `[B, C]` without any margin."""
        return self.head.logits(self.embed(images))

    def classify(self, embeddings: jax.Array) -> jax.Array:
        """Class scores `[B, C]` of embeddings `[B, D]`."""
        return self.head.logits(embeddings)

    def class_weights(self, classes: jax.Array | None = None) -> jax.Array:
        """A vector `[C, D]` for each class; see `MarginHead.class_weights`."""
        return self.head.class_weights(classes)


class EmbeddingLearner(Embedder):
    """Images to embeddings whose distances mean something: Siamese nets and their kin.

    What the objective learns (proxies, thresholds) lies under "objective".
    """

    objective: nn.Module

    def __call__(
        self, images: jax.Array, labels: jax.Array, step: jax.Array | None = None
    ) -> LossOutput:
        """The objective's output for a training batch."""
        return self.objective(self._embed_to_train(images), labels, step)


def make_classifier(
    encoder: dict, head: dict, num_classes: int, *, axis_name: str | None = None
) -> EmbeddingClassifier:
    """The module of a config's "encoder" and "head" sections.

    `axis_name` is the device axis for statistics of the batch while training; without
    it the module runs on its own.
    """
    return EmbeddingClassifier(
        encoder=make_net(**encoder, axis_name=axis_name),
        head=make_head(
            num_classes, encoder["embedding_size"], **head, axis_name=axis_name
        ),
    )


def make_learner(
    encoder: dict, objective: dict, num_classes: int, *, axis_name: str | None = None
) -> EmbeddingLearner:
    """The module of a config's "encoder" and "objective" sections.

    With `axis_name`, the device axis, examples of all devices meet in the objective.
    """
    size = encoder["embedding_size"]
    return EmbeddingLearner(
        encoder=make_net(**encoder, axis_name=axis_name),
        objective=make_loss(num_classes, size, axis_name=axis_name, **objective),
    )


def _scaled(images):
    return to_float(images) if images.dtype == jnp.uint8 else images
