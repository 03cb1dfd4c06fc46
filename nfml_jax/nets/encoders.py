"""Encoders of images `[B, H, W, C]` to float32 embeddings `[B, embedding_size]`.

They are a small CNN, LeNet++ (Wen et al. 2016), an MLP and a ResNet-18 for small images
(He et al. 2016). Parameters are float32, and `dtype` is the precision of the
arithmetic.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from nfml_jax.nets.layers import (
    BatchNorm,
    Conv,
    Embedding,
    PReLU,
    coarse_rows,
    he_normal,
    max_pool,
    standardize,
)
from nfml_jax.ops.broadcasting import broadcasting_methods

Array = jax.Array


class Encoder(nn.Module):
    """The base class of encoders: their common options, first and last step.

    Attributes:
      embedding_size: The number of coordinates of an embedding.
      embedding_norm: True adds a batch norm to the embedding; see `Embedding`.
      dtype: The precision of the arithmetic.
      axis_name: The device axis over which batch norm averages, or None.
      standardize: A name of `nfml_jax.nets.layers.STANDARDIZATIONS`, the normalization
        of each picture before the network.
      linear: The number of last coordinates of an embedding that are a linear map of
        the picture itself. With few pictures that show aligned objects, such as faces,
        a linear map is learned best.
      mirror: True makes a trained model's embedding the mean of those of a picture and
        its mirror image; see `nfml_jax.loading.recognition.Embedder`.
    """

    embedding_size: int
    embedding_norm: bool = False
    dtype: Any = jnp.float32
    axis_name: str | None = None
    standardize: str = "none"
    linear: int = 0
    mirror: bool = False

    def __call__(self, images: Array, train: bool) -> Array:
        """Return the embeddings `[B, embedding_size]` of images `[B, H, W, C]`."""
        raise NotImplementedError

    def __init_subclass__(cls, **options):
        broadcasting_methods(cls, "__call__")
        super().__init_subclass__(**options)

    def enter(self, images: Array) -> Array:
        """Return images `[B, H, W, C]`, normalized for the network."""
        return standardize(images, self.standardize)

    def embed(self, x: Array, train: bool, entered: Array) -> Array:
        """Return embeddings `[B, embedding_size]` of features `x` `[B, ...]`.

        `entered` is the result of `enter`, the pictures `[B, H, W, C]` for the linear
        part.
        """
        learned = Embedding(
            self.embedding_size - self.linear,
            self.embedding_norm,
            self.dtype,
            self.axis_name,
            name="embedding",
        )(x, train)
        if not self.linear:
            return learned
        rows = coarse_rows(entered)
        return jnp.concatenate(
            [learned, nn.Dense(self.linear, name="linear")(rows)], axis=-1
        )


class CNN(Encoder):
    """3×3 convolutions with `features` channels and a max pool each, then dense layers.

    `norm` adds a batch norm after each convolution, which takes fewer steps to learn
    few pictures.
    """

    features: tuple[int, ...] = (32, 64)
    hidden: int = 128
    norm: bool = False

    @nn.compact
    def __call__(self, images: Array, train: bool) -> Array:
        x = entered = self.enter(images)
        for features in self.features:
            x = Conv(features, dtype=self.dtype)(x)
            if self.norm:
                x = BatchNorm(self.axis_name)(x, train)
            x = max_pool(nn.relu(x))
        x = x.reshape(x.shape[0], -1)
        x = nn.relu(nn.Dense(self.hidden, dtype=self.dtype, kernel_init=he_normal)(x))
        return self.embed(x, train, entered)


class LeNetPP(Encoder):
    """LeNet++: stages of two 5×5 convolutions with PReLU and a 2×2 max pool.

    Wen et al. 2016, "A Discriminative Feature Learning Approach for Deep Face
    Recognition", table 1.
    """

    features: tuple[int, ...] = (32, 64, 128)

    @nn.compact
    def __call__(self, images: Array, train: bool) -> Array:
        x = entered = self.enter(images)
        for features in self.features:
            for _ in range(2):
                x = PReLU()(Conv(features, kernel_size=5, dtype=self.dtype)(x))
            x = max_pool(x)
        return self.embed(x, train, entered)


class MLPEncoder(Encoder):
    """Dense layers with relu on the flattened image."""

    hidden: tuple[int, ...] = (512, 512)

    @nn.compact
    def __call__(self, images: Array, train: bool) -> Array:
        entered = self.enter(images)
        x = entered.reshape(images.shape[0], -1)
        for size in self.hidden:
            x = nn.relu(nn.Dense(size, dtype=self.dtype, kernel_init=he_normal)(x))
        return self.embed(x, train, entered)


class ResidualBlock(nn.Module):
    """Two 3×3 convolutions with batch norm and a shortcut (He et al. 2016, fig. 2)."""

    features: int
    stride: int
    dtype: Any
    axis_name: str | None

    @nn.compact
    def __call__(self, x: Array, train: bool) -> Array:
        def conv(x, stride, size=3):
            return Conv(self.features, size, stride, use_bias=False, dtype=self.dtype)(
                x
            )

        def norm(x, **options):
            return BatchNorm(self.axis_name, **options)(x, train)

        y = nn.relu(norm(conv(x, self.stride)))
        # A zero scale makes each block start as the identity.
        y = norm(conv(y, 1), scale_init=nn.initializers.zeros)
        if x.shape != y.shape:
            x = norm(conv(x, self.stride, size=1))
        return nn.relu(x + y)


class ResNet18(Encoder):
    """ResNet-18 for small images: 3×3 stem, no first pool, four stages of two blocks.

    `width` is the number of channels of the first stage, and `blocks` the number of
    residual blocks of each stage. Each later stage halves the image and doubles the
    channels.
    """

    width: int = 64
    blocks: tuple[int, ...] = (2, 2, 2, 2)

    @nn.compact
    def __call__(self, images: Array, train: bool) -> Array:
        entered = self.enter(images)
        x = Conv(self.width, use_bias=False, dtype=self.dtype)(entered)
        x = nn.relu(BatchNorm(self.axis_name)(x, train))
        for stage, blocks in enumerate(self.blocks):
            for block in range(blocks):
                stride = 2 if stage > 0 and block == 0 else 1
                x = ResidualBlock(
                    self.width * 2**stage, stride, self.dtype, self.axis_name
                )(x, train)
        return self.embed(x.mean(axis=(1, 2)), train, entered)
