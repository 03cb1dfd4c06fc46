"""Affine couplings of images whose network sees the whole image with holes.

They are those of tutorial 11 of the UvA deep learning course (P. Lippe). A `Coupling`
of channels computes only what it uses; this one keeps the published parameters.
"""

from collections.abc import Callable

import flax.linen as nn
import jax.numpy as jnp
import numpy as np

from nfml_jax.bijectors.bijector import Bijector
from nfml_jax.bijectors.masks import checkerboard
from nfml_jax.errors import UserError
from nfml_jax.ops.checks import check_function, check_kind


class MaskedCoupling(Bijector):
    """y = (x + t) exp(s) where the mask is False; the other values stay.

    The network sees the image with zeros at the values that change, and gives s and t
    everywhere; they are used only where the mask is False. s lies within ±exp(f), with
    a learned f for each channel that starts at 0.

    Attributes:
      conditioner: A network of images, called as that of a `Coupling`. Its first half
        of `2 C` features is for s.
      mask: A function of the shape `(H, W, C)` that returns booleans `[H, W, C]`, such
        as `nfml_jax.bijectors.masks.checkerboard`. At least one is False.

    >>> import jax
    >>> from nfml_jax.nets.images import GlowNet
    >>> layer, x = MaskedCoupling(GlowNet(hidden=4)), jnp.ones((1, 2, 2, 1))
    >>> variables = layer.init(jax.random.key(0), x)
    >>> y, log_det = layer.apply(variables, x)  # a new layer is the identity
    >>> y.ravel().tolist(), log_det.tolist()
    ([1.0, 1.0, 1.0, 1.0], [0.0])
    """

    conditioner: nn.Module
    mask: Callable[[tuple[int, int, int]], np.ndarray] = checkerboard

    def check_options(self):
        check_kind(self, nn.Module, conditioner=self.conditioner)
        check_function(self, mask=self.mask)

    @property
    def event_ndim(self):
        return 3

    def forward_and_log_det(self, x, context=None):
        log_scale, shift = self._parameters(x, context)
        return (x + shift) * jnp.exp(log_scale), log_scale.sum((-3, -2, -1))

    def inverse_and_log_det(self, y, context=None):
        log_scale, shift = self._parameters(y, context)
        return y * jnp.exp(-log_scale) - shift, -log_scale.sum((-3, -2, -1))

    @nn.compact
    def _parameters(self, x, context):
        """Return log-scales and shifts of the image's shape, zero where `x` stays."""
        shape = x.shape[-3:]
        stays = np.asarray(self.mask(shape))
        booleans = stays.shape == shape and np.isin(stays, (0, 1)).all()
        if not booleans or stays.all():
            raise UserError(
                f"MaskedCoupling's mask has shape {list(stays.shape)} for images of "
                f"shape {list(shape)}; expected as many booleans, at least one of them "
                "False."
            )
        stays = stays.astype(bool)
        raw = self.conditioner(jnp.where(stays, x, 0), context, 2 * shape[-1])
        log_scale, shift = jnp.split(raw.astype(x.dtype), 2, axis=-1)
        log_bound = self.param("log_bound", nn.initializers.zeros, shape[-1:])
        bound = jnp.exp(log_bound.astype(x.dtype))
        log_scale = bound * jnp.tanh(log_scale / bound)
        return jnp.where(stays, 0, log_scale), jnp.where(stays, 0, shift)
