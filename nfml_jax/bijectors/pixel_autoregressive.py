"""Autoregressive maps of images by masked convolutions.

The network is that of PixelCNN (van den Oord et al. 2016); with an affine transform,
the inverse is a masked autoregressive flow of images.
"""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from nfml_jax.bijectors.bijector import Bijector
from nfml_jax.bijectors.causal import ORDERS
from nfml_jax.bijectors.fixed_point import jacobi, triangular_inverse
from nfml_jax.bijectors.transforms import ScalarTransform
from nfml_jax.nets.convolution import conv
from nfml_jax.ops.checks import (
    check_choice,
    check_kind,
    check_number,
    check_odd,
    check_sizes,
)
from nfml_jax.ops.events import at_places

Array = jax.Array


class PixelAutoregressive(Bijector):
    """A scalar transform of each pixel, whose parameters depend on earlier pixels.

    Pixels are in order row by row. The parameters of all channels of a pixel are a
    function of the pixels before, within reach of the masked convolutions, and of the
    context. Forward is one pass. The inverse repeats passes until nothing changes, at
    most H W of them, which is exact; usually far fewer are needed. The layer starts as
    the identity where the transform does.

    Attributes:
      transform: The scalar transform.
      hidden: The numbers of channels of the hidden layers.
      kernel_size: The odd number of pixels along the side of all kernels.
      tolerance: The largest change that ends the inverse, in units in the last place.
      order: "raster" from the first pixel, or "reverse" from the last.

    >>> from nfml_jax.bijectors import Affine
    >>> layer, x = PixelAutoregressive(Affine(), hidden=(4,)), jnp.ones((1, 2, 2, 1))
    >>> variables = layer.init(jax.random.key(0), x)
    >>> y, log_det = layer.apply(variables, x)  # a new layer is the identity
    >>> y.ravel().tolist(), log_det.tolist()
    ([1.0, 1.0, 1.0, 1.0], [0.0])
    """

    transform: ScalarTransform
    hidden: tuple[int, ...] = (64, 64)
    kernel_size: int = 3
    tolerance: float = 8.0
    order: str = "raster"

    def check_options(self):
        check_choice(self, ORDERS, order=self.order)
        check_kind(self, ScalarTransform, transform=self.transform)
        check_sizes(self, hidden=self.hidden)
        check_odd(self, kernel_size=self.kernel_size)
        check_number(self, 0.0, tolerance=self.tolerance)

    @property
    def event_ndim(self):
        return 3

    def forward_and_log_det(self, x, context=None):
        x = self._turned(x)
        forward, _, layers = self._functions(x, context)
        y, log_slopes = forward(layers, x, x)
        return self._turned(y), log_slopes.sum((-3, -2, -1))

    def inverse_and_log_det(self, y, context=None):
        y = self._turned(y)
        forward, inverse, layers = self._functions(y, context)
        limit = y.shape[-3] * y.shape[-2]

        def solve(sweep, start):
            return jacobi(sweep, start, limit, self.tolerance)[0]

        x = triangular_inverse(forward, inverse, solve, layers, y)
        log_det = -forward(layers, x, x)[1].sum((-3, -2, -1))
        outside = self.transform.outside(self.transform.codomain, y)
        if outside is not None:
            log_det = jnp.where(outside.any((-3, -2, -1)), -jnp.inf, log_det)
        return self._turned(x), log_det

    def _turned(self, x):
        """Return images or maps whose last pixel comes first, if the order says so."""
        return jnp.flip(x, (-3, -2)) if self.order == "reverse" else x

    @nn.nowrap
    def log_det_limit(self, shape):
        return math.prod(shape) * self.transform.log_slope_limit

    def _functions(self, x, context):
        """Return the map and its inverse as pure functions, and their parameters."""
        transform, tolerance = self.transform, self.tolerance
        count, limit = transform.num_params, x.shape[-3] * x.shape[-2]
        layers = self._layers(x, context)

        def parameters(layers, x):
            h = x
            for l, (kernel, bias) in enumerate(layers):
                h = jax.nn.relu(h) if l else h
                images = h.reshape(-1, *h.shape[-3:])
                with jax.default_matmul_precision("highest"):
                    h = conv(images, kernel).reshape(*x.shape[:-1], -1)
                h = h + bias
            return h.reshape(*x.shape, count)

        def forward(layers, before, x):
            return transform.forward_and_log_det(parameters(layers, before), x)

        def inverse(layers, y):
            def sweep(x):
                raw = parameters(layers, x)
                return transform.inverse_and_log_det(raw, y)[0]

            return jacobi(sweep, y, limit, tolerance)[0]

        return forward, inverse, layers

    @nn.compact
    def _layers(self, x, context):
        """Return the kernels `[k, k, in, out]` and biases of all layers."""
        channels, side = x.shape[-1], self.kernel_size
        widths = *self.hidden, channels * self.transform.num_params
        layers, inputs = [], channels
        for l, width in enumerate(widths):
            last = l == len(widths) - 1
            init = nn.initializers.zeros if last else nn.initializers.he_normal()
            kernel = self.param(f"kernel_{l}", init, (side, side, inputs, width))
            bias = self.param(f"bias_{l}", nn.initializers.zeros, (width,))
            # The first layer alone leaves out a pixel itself.
            kernel = jnp.where(_mask(side, itself=l > 0), kernel, 0)
            if l == 0 and context is not None:
                context = self._turned(at_places(context, x, 3))
                bias = bias + nn.Dense(width, use_bias=False, name="context")(context)
            layers.append((kernel.astype(x.dtype), bias.astype(x.dtype)))
            inputs = width
        return layers


def _mask(side, *, itself):
    """Return which pixels of a kernel are seen, `[side, side, 1, 1]`."""
    number = np.arange(side**2).reshape(side, side, 1, 1)
    middle = side**2 // 2
    return (number <= middle) if itself else (number < middle)
