"""Periodic convolutions, which are products in the frequency domain.

Hoogeboom et al. 2019, "Emerging Convolutions for Generative Normalizing Flows", section
4: the Fourier transform makes the convolution one matrix for each frequency.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from nfml_jax.bijectors.bijector import Bijector
from nfml_jax.ops.checks import check_odd

Array = jax.Array


class PeriodicConv(Bijector):
    """A convolution of images whose borders are joined, with its exact inverse.

    y(h, w) = Σ K(i, j) x(h + i, w + j) + b, where indices are taken modulo the height
    and the width, and each K(i, j) is a matrix of channels. The log-determinant is
    Σ log |det K̂(u, v)| over all frequencies. The layer starts as the identity. Nothing
    keeps K̂(u, v) from becoming singular.

    Attributes:
      kernel_size: The odd number of pixels along the side of the kernel. A kernel
        larger than the image overlaps itself.

    >>> layer, x = PeriodicConv(), jnp.ones((1, 2, 3, 1))
    >>> variables = layer.init(jax.random.key(0), x)
    >>> y, log_det = layer.apply(variables, x)  # a new layer is the identity
    >>> y.ravel().round(3).tolist(), abs(log_det.round(3)).tolist()
    ([1.0, 1.0, 1.0, 1.0, 1.0, 1.0], [0.0])
    """

    kernel_size: int = 3

    def check_options(self):
        check_odd(self, kernel_size=self.kernel_size)

    @property
    def event_ndim(self):
        return 3

    def forward_and_log_det(self, x, context=None):
        matrices, bias, log_det = self._parameters(x)
        y = _irfft(
            jnp.einsum(
                "...uvio,...uvi->...uvo", matrices, _rfft(x), precision="highest"
            ),
            x,
        )
        return y + bias, jnp.broadcast_to(log_det, x.shape[:-3])

    def inverse_and_log_det(self, y, context=None):
        matrices, bias, log_det = self._parameters(y)
        right = _rfft(y - bias)
        # One factorization of each frequency's matrix serves the whole batch.
        columns = right.reshape(-1, *right.shape[-3:])
        columns = jnp.moveaxis(columns, 0, -1)
        x = jnp.linalg.solve(jnp.swapaxes(matrices, -1, -2), columns)
        x = jnp.moveaxis(x, -1, 0).reshape(right.shape)
        return _irfft(x, y), jnp.broadcast_to(-log_det, y.shape[:-3])

    @nn.compact
    def _parameters(self, x):
        """Return the matrices `[H, W // 2 + 1, C, C]`, b, and the log-determinant."""
        height, width, channels = x.shape[-3:]
        side = self.kernel_size
        change = self.param(
            "kernel", nn.initializers.zeros, (side, side, channels, channels)
        ).astype(x.dtype)
        bias = self.param("bias", nn.initializers.zeros, (channels,)).astype(x.dtype)
        middle = side // 2
        kernel = change.at[middle, middle].add(jnp.eye(channels, dtype=x.dtype))
        image = jnp.zeros((height, width, channels, channels), x.dtype)
        rows = (middle - jnp.arange(side)) % height
        columns = (middle - jnp.arange(side)) % width
        image = image.at[rows[:, None], columns].add(kernel)
        matrices = jnp.fft.rfft2(image, axes=(0, 1))
        # Frequencies that rfft2 leaves out are conjugates of others.
        counts = jnp.where(jnp.arange(matrices.shape[1]) % (width / 2) == 0, 1, 2)
        logs = jnp.linalg.slogdet(matrices)[1]
        return matrices, bias, (counts * logs).sum().astype(x.dtype)


def _rfft(x):
    return jnp.fft.rfft2(x, axes=(-3, -2))


def _irfft(x, like):
    y = jnp.fft.irfft2(x, s=like.shape[-3:-1], axes=(-3, -2))
    return y.astype(like.dtype)
