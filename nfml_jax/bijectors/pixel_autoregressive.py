"""Autoregressive maps of images: each pixel's transform depends on earlier pixels."""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp

from nfml_jax.bijectors.bijector import Bijector
from nfml_jax.bijectors.causal import ORDERS
from nfml_jax.bijectors.fixed_point import jacobi, triangular_inverse
from nfml_jax.bijectors.transforms import ScalarTransform
from nfml_jax.nets.images.pixel_cnn import CausalConditioner
from nfml_jax.ops.checks import check_choice, check_kind, check_number
from nfml_jax.ops.events import at_places

Array = jax.Array


class PixelAutoregressive(Bijector):
    """A scalar transform of each number, whose parameters depend on earlier numbers.

    Pixels are in order row by row. Forward is one pass of the conditioner: with an
    affine transform it is the density of a masked autoregressive flow (Papamakarios et
    al. 2017), with a mixture's CDF that of PixelCNN++ (Salimans et al. 2017) for
    continuous numbers. The inverse finds pixels one after another, and costs as much
    arithmetic as C + 1 passes. The layer starts as the identity where the transform
    does.

    Attributes:
      transform: The scalar transform.
      conditioner: A `nfml_jax.nets.images.PixelCNN`, whose channels are in order, or
        `MaskedConvs`, whose channels are independent given the pixels before.
      order: "raster" from the first pixel, or "reverse" from the last.
      tolerance: The largest change, in units in the last place, that ends the sweeps by
        which derivatives of the inverse are found.

    >>> from nfml_jax.bijectors import Affine
    >>> from nfml_jax.nets.images import PixelCNN
    >>> layer = PixelAutoregressive(Affine(), PixelCNN(hidden=4, blocks=1))
    >>> x = jnp.ones((1, 2, 2, 1))
    >>> variables = layer.init(jax.random.key(0), x)
    >>> y, log_det = layer.apply(variables, x)  # a new layer is the identity
    >>> y.ravel().tolist(), log_det.tolist()
    ([1.0, 1.0, 1.0, 1.0], [0.0])
    """

    transform: ScalarTransform
    conditioner: CausalConditioner
    order: str = "raster"
    tolerance: float = 8.0

    def check_options(self):
        check_kind(self, ScalarTransform, transform=self.transform)
        check_kind(self, CausalConditioner, conditioner=self.conditioner)
        check_choice(self, ORDERS, order=self.order)
        check_number(self, 0.0, tolerance=self.tolerance)

    def setup(self):
        # The network's parameters are the layer's own, so that earlier runs still load.
        nn.share_scope(self, self.conditioner)

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
        limit = math.prod(y.shape[-3:])

        def solve(sweep, start):
            return jacobi(sweep, start, limit, self.tolerance)[0]

        x = triangular_inverse(forward, inverse, solve, layers, y)
        log_det = -forward(layers, x, x)[1].sum((-3, -2, -1))
        outside = self.transform.outside(self.transform.codomain, y)
        if outside is not None:
            log_det = jnp.where(outside.any((-3, -2, -1)), -jnp.inf, log_det)
        return self._turned(x), log_det

    @nn.nowrap
    def log_det_limit(self, shape):
        return math.prod(shape) * self.transform.log_slope_limit

    def _turned(self, x):
        """Return images or maps whose last pixel comes first, if the order says so."""
        return jnp.flip(x, (-3, -2)) if self.order == "reverse" else x

    def _functions(self, x, context):
        """Return the map and its inverse as pure functions, and their parameters."""
        transform = self.transform
        if context is not None:
            context = self._turned(at_places(context, x, 3))
        network, layers = self.conditioner.network(x, context, transform.num_params)

        def forward(layers, before, x):
            raw = network(layers, before).astype(x.dtype)
            return transform.forward_and_log_det(raw, x)

        def inverse(layers, y):
            def scalar(raw, y):
                return transform.inverse_and_log_det(raw.astype(y.dtype), y)[0]

            return network.draw(layers, y, scalar)

        return forward, inverse, layers
