"""Causal convolutions, whose pixels depend on earlier pixels only.

Two of opposite orders in a chain are an emerging convolution, which sees a whole
neighborhood (Hoogeboom et al. 2019, "Emerging Convolutions for Generative Normalizing
Flows", section 3).
"""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from nfml_jax.bijectors.bijector import Bijector
from nfml_jax.bijectors.matrices import bounded
from nfml_jax.nets.convolution import conv
from nfml_jax.ops import control_flow
from nfml_jax.ops.checks import check_choice, check_number, check_odd

Array = jax.Array

ORDERS = ("raster", "reverse")


class CausalConv(Bijector):
    """A convolution of images whose pixels depend on earlier pixels only.

    The order is row by row. Within a pixel, channel c depends on channels before c. So
    the Jacobian is triangular, and the log-determinant is H W Σ log s for the scales s
    of the channels, each within ±`max_log_scale`. The inverse is exact, and takes H W
    steps, as it finds one pixel after another. Off the data it may be unstable where
    scales are small beside the kernel. The layer starts as the identity.

    Attributes:
      kernel_size: The odd number of pixels along the side of the kernel.
      order: "raster" from the first pixel and channel, or "reverse" from the last.
      max_log_scale: The bound of |log s|.

    >>> layer, x = CausalConv(), jnp.ones((1, 2, 2, 1))
    >>> variables = layer.init(jax.random.key(0), x)
    >>> y, log_det = layer.apply(variables, x)  # a new layer is the identity
    >>> y.ravel().tolist(), log_det.tolist()
    ([1.0, 1.0, 1.0, 1.0], [0.0])
    """

    kernel_size: int = 3
    order: str = "raster"
    max_log_scale: float = 5.0

    def check_options(self):
        check_odd(self, kernel_size=self.kernel_size)
        check_choice(self, ORDERS, order=self.order)
        check_number(self, above=0.0, max_log_scale=self.max_log_scale)

    @property
    def event_ndim(self):
        return 3

    def forward_and_log_det(self, x, context=None):
        kernel, log_scale, bias = self._parameters(x)
        y = _convolved(_turned(x, self.order), kernel)
        y = _turned(y, self.order) + bias
        return y, self._log_det(log_scale, x)

    def inverse_and_log_det(self, y, context=None):
        kernel, log_scale, bias = self._parameters(y)
        x = causal_inverse(kernel, _turned(y - bias, self.order))
        return _turned(x, self.order), -self._log_det(log_scale, y)

    @nn.nowrap
    def log_det_limit(self, shape):
        return math.prod(shape) * self.max_log_scale

    def _log_det(self, log_scale, x):
        height, width = x.shape[-3:-1]
        return jnp.broadcast_to(height * width * log_scale.sum(), x.shape[:-3])

    @nn.compact
    def _parameters(self, x):
        """Return the masked kernel `[k, k, C, C]`, the log-scales and b, both `[C]`."""
        side, channels = self.kernel_size, x.shape[-1]
        zeros = nn.initializers.zeros
        kernel = self.param("kernel", zeros, (side, side, channels, channels))
        log_scale = self.param("log_scale", zeros, (channels,)).astype(x.dtype)
        bias = self.param("bias", zeros, (channels,)).astype(x.dtype)
        log_scale = bounded(log_scale, self.max_log_scale)
        kernel = jnp.where(_mask(side, channels), kernel, 0).astype(x.dtype)
        middle = side // 2
        scale = jnp.diag(jnp.exp(log_scale))
        return kernel.at[middle, middle].add(scale), log_scale, bias


def _mask(side, channels):
    """Return where a kernel in raster order may be nonzero beside its diagonal."""
    mask = np.zeros((side, side, channels, channels), bool)
    middle = side // 2
    mask[:middle], mask[middle, :middle] = True, True
    mask[middle, middle] = np.triu(np.ones((channels, channels), bool), 1)
    return mask


def _turned(x, order):
    """Return images whose last pixel and channel come first, if the order says so."""
    return jnp.flip(x, (-3, -2, -1)) if order == "reverse" else x


def _convolved(x, kernel):
    # Accelerators would compute in fewer bits, and the inverse would not fit.
    with jax.default_matmul_precision("highest"):
        return conv(x.reshape(-1, *x.shape[-3:]), kernel).reshape(x.shape)


def causal_inverse(kernel: Array, y: Array) -> Array:
    """Return the images x `[*batch, H, W, C]` whose causal convolution is y.

    Derivatives of both modes follow from the linear system, without its loops.
    """

    def solve(_, right):
        return _substituted(kernel, right)

    def solve_transposed(_, right):
        # Seen from the last pixel and channel, this is a causal convolution, too.
        turned = jnp.flip(kernel.swapaxes(-1, -2), (-2, -1))
        x = _substituted(turned, _turned(right, "reverse"))
        return _turned(x, "reverse")

    return lax.custom_linear_solve(
        lambda x: _convolved(x, kernel), y, solve, solve_transposed
    )


def _substituted(kernel, y):
    """Return the solution of a causal convolution, pixel by pixel."""
    side, channels = kernel.shape[0], y.shape[-1]
    middle = side // 2
    *batch, _, width, _ = y.shape
    own = kernel[middle, middle].T
    identity = jnp.eye(channels, dtype=y.dtype)
    undo = jax.scipy.linalg.solve_triangular(own, identity, lower=True)
    before = kernel[: middle + 1].at[middle, middle:].set(0)
    rows = jnp.moveaxis(y, -3, 0)

    def pixel(state, now):
        above, row = state
        column, value = now
        # The kernel's part of earlier rows and of this row's earlier pixels.
        seen = jnp.concatenate([above, row[None]])
        start = (0,) * (seen.ndim - 2) + (column, 0)
        window = lax.dynamic_slice(
            seen, start, (*seen.shape[:-2], side, seen.shape[-1])
        )
        past = jnp.einsum("r...ki,rkio->...o", window, before, precision="highest")
        x = jnp.einsum("oi,...i->...o", undo, value - past, precision="highest")
        place = (0,) * (row.ndim - 2) + (column + middle, 0)
        row = lax.dynamic_update_slice(row, x[..., None, :], place)
        return (above, row), None

    def next_row(above, values):
        empty = jnp.zeros((*batch, width + 2 * middle, channels), y.dtype)
        columns = jnp.arange(width), jnp.moveaxis(values, -2, 0)
        (_, row), _ = control_flow.scan(pixel, (above, empty), columns)
        above = jnp.concatenate([above[1:], row[None]]) if middle else above
        return above, row[..., middle : middle + width, :]

    above = jnp.zeros((middle, *batch, width + 2 * middle, channels), y.dtype)
    _, x = control_flow.scan(next_row, above, rows)
    return jnp.moveaxis(x, 0, -3)
