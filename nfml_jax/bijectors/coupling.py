"""Couplings: some coordinates stay and condition the transform of the others.

With an additive transform this is NICE (Dinh et al. 2015), with an affine one RealNVP
(Dinh et al. 2017), with a spline a neural spline flow (Durkan et al. 2019). Both
directions cost one pass of the conditioner.
"""

import math
from collections.abc import Callable

import flax.linen as nn
import jax.numpy as jnp
import numpy as np

from nfml_jax.bijectors.bijector import Bijector
from nfml_jax.bijectors.elementwise import Transformed
from nfml_jax.bijectors.masks import halves
from nfml_jax.errors import UserError
from nfml_jax.ops.checks import check_function, check_kind, refuse


class Coupling(Transformed):
    """A scalar transform of some coordinates, conditioned on the others.

    Attributes:
      transform: The scalar transform of the coordinates where `mask` is False.
      conditioner: A module that maps the d coordinates where `mask` is True to the
        parameters of the others: `conditioner(inputs, context, features)` takes inputs
        `[..., d]` and returns `[..., features]`. On images both are feature maps, such
        as those of a convolutional network.
      mask: A function of D that returns booleans `[D]`, such as those of
        `nfml_jax.bijectors.masks`. At least one is False. D is the size of the last
        axis; on images these are the channels.
      identity: A bijector such as `Elementwise`, or None. It maps the coordinates that
        otherwise stay, after they have conditioned the others.

    Where no coordinate stays, as for D = 1, and no context is given, the parameters are
    learned numbers.

    >>> import jax
    >>> from nfml_jax.bijectors import Affine
    >>> from nfml_jax.nets import MLP
    >>> layer = Coupling(Affine(), MLP(hidden=(8,)))
    >>> x = jnp.array([[0.0, 0.5, 1.0]])
    >>> variables = layer.init(jax.random.key(0), x)
    >>> y, log_det = layer.apply(variables, x)  # a new coupling is the identity
    >>> y.tolist(), log_det.tolist()
    ([[0.0, 0.5, 1.0]], [0.0])
    """

    mask: Callable[[int], np.ndarray] = halves
    identity: Bijector | None = None

    def check_options(self):
        super().check_options()
        check_kind(self, Bijector, optional=True, identity=self.identity)
        check_function(self, mask=self.mask)
        if self.identity is not None and self.identity.event_ndim != 1:
            wanted = "a bijector of vectors, which is applied to each pixel's channels"
            refuse(self, "identity", self.identity, wanted)

    def forward_and_log_det(self, x, context=None):
        stay, change, join = self._split(x)
        raw = self._raw(stay, change, context)
        change, log_det = self._changed(self.transform.forward_and_log_det, raw, change)
        log_det = log_det.sum(-1)
        if self.identity is not None and stay.shape[-1]:
            stay, more = self.identity.forward_and_log_det(stay, context)
            log_det += more
        return join(stay, change), log_det

    def inverse_and_log_det(self, y, context=None):
        stay, change, join = self._split(y)
        log_det = 0.0
        if self.identity is not None and stay.shape[-1]:
            stay, log_det = self.identity.inverse_and_log_det(stay, context)
        raw = self._raw(stay, change, context)
        change, more = self._changed(self.transform.inverse_and_log_det, raw, change)
        return join(stay, change), log_det + more.sum(-1)

    @nn.nowrap
    def log_det_limit(self, shape):
        *places, size = shape
        changed = int((np.asarray(self.mask(size)) == 0).sum())
        limit = math.prod(places) * changed * self.transform.log_slope_limit
        if self.identity is not None and changed < size:
            each = self.identity.log_det_limit((size - changed,))
            limit += math.prod(places) * each
        return limit

    def _changed(self, transformed, raw, x):
        """Return the transformed coordinates and the log-slope of each.

        Those of images are in one row meanwhile. The last axes of an image are short,
        and on a CPU loops over them take twice as long (benchmarks/README.md).
        """
        if self.event_ndim == 1 or raw.shape[:-1] != x.shape:
            return transformed(raw, x)
        y, log_slope = transformed(raw.reshape(-1, raw.shape[-1]), x.reshape(-1))
        return y.reshape(x.shape), log_slope.reshape(x.shape)

    def _raw(self, stay, change, context):
        inputs = stay if stay.shape[-1] else None
        return self.raw(inputs, context, change.shape[-1:], change.dtype)

    def _split(self, x):
        """Return the coordinates that stay, those that change, and how to join both."""
        mask = np.asarray(self.mask(x.shape[-1]))
        booleans = mask.shape == x.shape[-1:] and np.isin(mask, (0, 1)).all()
        if not booleans or mask.all():
            raise UserError(
                f"The coupling's mask is {mask.tolist()} for events of "
                f"{x.shape[-1]} coordinates; expected as many booleans, at least one "
                "of them False."
            )
        stay, change = np.flatnonzero(mask), np.flatnonzero(mask == 0)
        order = np.argsort(np.concatenate([stay, change]))

        def join(stay, change):
            return _take(jnp.concatenate([stay, change], axis=-1), order)

        return _take(x, stay), _take(x, change), join


def _take(x, places):
    """Return coordinates of `x` at static places; a slice if they are consecutive."""
    if len(places) and (np.diff(places) == 1).all():
        return x[..., places[0] : places[-1] + 1]
    return x[..., places]
