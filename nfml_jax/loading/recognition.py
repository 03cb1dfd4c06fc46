"""Encoders with their objectives as one Flax module, built from their settings."""

from collections.abc import Mapping

import flax.linen as nn
import jax
import jax.numpy as jnp

from nfml_jax.data.augment import to_float
from nfml_jax.heads import HeadOutput, MarginHead, make_head
from nfml_jax.loading.settings import EncoderSettings, HeadSettings, ObjectiveSettings
from nfml_jax.losses import LossOutput, make_loss
from nfml_jax.nets import make_net


class Embedder(nn.Module):
    """A map from images to embeddings; its parameters lie under "encoder".

    Images are uint8 `[B, H, W, C]`, or float already scaled by `to_float`.
    """

    encoder: nn.Module

    def embed(self, images: jax.Array) -> jax.Array:
        """Return embeddings `[B, D]`, float32, before any normalization.

        They are means of those of images and their mirror images if `encoder.mirror`.
        """
        images = _scaled(images)
        found = self.encoder(images, train=False)
        if not getattr(self.encoder, "mirror", False):
            return found
        return (found + self.encoder(jnp.flip(images, axis=-2), train=False)) / 2

    def _embed_to_train(self, images):
        return self.encoder(_scaled(images), train=True)


class EmbeddingClassifier(Embedder):
    """An encoder with a margin head: the network of the margin-softmax papers.

    The head's parameters lie under "head".
    """

    head: MarginHead

    def __call__(
        self, images: jax.Array, labels: jax.Array, step: jax.Array | None = None
    ) -> HeadOutput:
        """Return the head's output for a training batch."""
        return self.head(self._embed_to_train(images), labels, step)

    def logits(self, images: jax.Array) -> jax.Array:
        """Return class scores `[B, C]` without any margin."""
        return self.head.logits(self.embed(images))

    def classify(self, embeddings: jax.Array) -> jax.Array:
        """Return class scores `[B, C]` of embeddings `[B, D]`."""
        return self.head.logits(embeddings)

    def class_weights(self, classes: jax.Array | None = None) -> jax.Array:
        """Return a vector `[C, D]` for each class; see `MarginHead.class_weights`."""
        return self.head.class_weights(classes)


class EmbeddingLearner(Embedder):
    """An encoder with an objective on distances, such as a Siamese network.

    Parameters of the objective (proxies, thresholds) lie under "objective".
    """

    objective: nn.Module

    def __call__(
        self, images: jax.Array, labels: jax.Array, step: jax.Array | None = None
    ) -> LossOutput:
        """Return the objective's output for a training batch."""
        return self.objective(self._embed_to_train(images), labels, step)


def make_classifier(
    encoder: EncoderSettings | Mapping,
    head: HeadSettings | Mapping,
    num_classes: int,
    *,
    axis_name: str | None = None,
) -> EmbeddingClassifier:
    """Return the module of an encoder and a margin head, each by its section.

    `axis_name` is the device axis for statistics of the batch while training; without
    it the module runs on its own.
    """
    encoder, head = EncoderSettings.of(encoder), HeadSettings.of(head)
    return EmbeddingClassifier(
        encoder=make_net(**encoder.to_config(), axis_name=axis_name),
        head=make_head(
            num_classes,
            encoder.embedding_size,
            **head.to_config(),
            axis_name=axis_name,
        ),
    )


def make_learner(
    encoder: EncoderSettings | Mapping,
    objective: ObjectiveSettings | Mapping,
    num_classes: int,
    *,
    axis_name: str | None = None,
) -> EmbeddingLearner:
    """Return the module of an encoder and an objective.

    With `axis_name`, the device axis, examples of all devices meet in the objective.
    """
    encoder = EncoderSettings.of(encoder)
    size = encoder.embedding_size
    options = ObjectiveSettings.of(objective).to_config()
    return EmbeddingLearner(
        encoder=make_net(**encoder.to_config(), axis_name=axis_name),
        objective=make_loss(num_classes, size, axis_name=axis_name, **options),
    )


def _scaled(images):
    return to_float(images) if images.dtype == jnp.uint8 else images
