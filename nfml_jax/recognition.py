"""An encoder and a margin head as one Flax module, built from plain config values."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from nfml_jax.data.augment import to_float
from nfml_jax.heads import HeadOutput, MarginHead, make_head
from nfml_jax.nets import make_net


class EmbeddingClassifier(nn.Module):
    """Images to embeddings to classes: the network of the margin-softmax papers.

    Parameters lie under "encoder" and "head". Images are uint8 `[B, H, W, C]`, or
    float already scaled by `to_float`.
    """

    encoder: nn.Module
    head: MarginHead

    def __call__(
        self, images: jax.Array, labels: jax.Array, step: jax.Array | None = None
    ) -> HeadOutput:
        """The head's output for a training batch."""
        return self.head(self.encoder(_scaled(images), train=True), labels, step)

    def embed(self, images: jax.Array) -> jax.Array:
        """Embeddings `[B, D]`, float32, as they leave the encoder (not normalised)."""
        return self.encoder(_scaled(images), train=False)

    def logits(self, images: jax.Array) -> jax.Array:
        """Class scores `[B, C]` without any margin."""
        return self.head.logits(self.embed(images))

    def classify(self, embeddings: jax.Array) -> jax.Array:
        """Class scores `[B, C]` of embeddings `[B, D]`."""
        return self.head.logits(embeddings)


def make_classifier(
    encoder: dict, head: dict, num_classes: int, *, axis_name: str | None = None
) -> EmbeddingClassifier:
    """The module of a config's "encoder" and "head" sections.

    `axis_name` is the device axis for batch statistics while training; without it the
    module runs on its own.
    """
    return EmbeddingClassifier(
        encoder=make_net(**encoder, axis_name=axis_name),
        head=make_head(num_classes, encoder["embedding_size"], **head),
    )


def _scaled(images):
    return to_float(images) if images.dtype == jnp.uint8 else images
