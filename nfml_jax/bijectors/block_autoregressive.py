"""Block neural autoregressive flow: one monotone network for all coordinates at once.

The source is De Cao, Titov & Aziz 2019. Each coordinate has a group of hidden units.
Weights within a group are positive, weights to later groups are free, and all others
are zero.
"""

from itertools import pairwise
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax
from jax.nn import log_sigmoid, logsumexp

from nfml_jax.bijectors.bijector import OnLastAxis
from nfml_jax.bijectors.fixed_point import jacobi, triangular_inverse
from nfml_jax.bijectors.transforms.numerical_inverse import increasing_inverse
from nfml_jax.ops import control_flow
from nfml_jax.ops.checks import DEEPEST, WIDEST, check_choice, check_integer

Array = jax.Array

# In units in the last place; see `jacobi`.
TOLERANCE = 8.0


class BlockLayer(NamedTuple):
    """The weights of a layer for one coordinate, or with a leading axis D for all.

    `before [out, D, in]` are the weights of earlier coordinates' units, `log_within
    [out, in]` is the logarithm of the weights within the coordinate's group, and `bias
    [..., out]` may depend on the context.
    """

    before: Array
    log_within: Array
    bias: Array


class BlockAutoregressive(OnLastAxis):
    """y_i is a monotone network of x_i, with biases that depend on x_1 ... x_(i-1).

    The forward direction is one pass. The inverse solves for one coordinate after
    another numerically, and evaluates each unit's contribution from earlier ones once.

    Attributes:
      hidden: The number of tanh units of each coordinate in a hidden layer. Rows of
        weights are normalized and scaled.
      layers: The number of hidden layers.
      residual: "gated" for α x + (1 - α) f(x) with a learned α, "plain" for x + f(x),
        or "none" for f(x). With "none" y is bounded, and only such y can be inverted.

    >>> layer = BlockAutoregressive(hidden=4)
    >>> x = jnp.array([[0.0, 0.5, 1.0]])
    >>> variables = jax.jit(layer.init)(jax.random.key(0), x)
    >>> y, log_det = jax.jit(layer.apply)(variables, x)
    >>> y.shape, log_det.shape
    ((1, 3), (1,))
    """

    hidden: int = 8
    layers: int = 1
    residual: str = "gated"

    def check_options(self):
        check_integer(self, 1, WIDEST, hidden=self.hidden)
        check_integer(self, 0, DEEPEST, layers=self.layers)
        check_choice(self, ("gated", "plain", "none"), residual=self.residual)

    def forward_and_log_det(self, x, context=None):
        y, log_slopes = _forward(self._numbers(x, context), x, x)
        return y, log_slopes.sum(-1)

    def inverse_and_log_det(self, y, context=None):
        numbers = self._numbers(y, context)
        limit = y.shape[-1]
        x = triangular_inverse(
            _forward,
            _inverse,
            lambda *system: jacobi(*system, limit=limit, tolerance=TOLERANCE)[0],
            numbers,
            y,
        )
        return x, -_forward(numbers, x, x)[1].sum(-1)

    @nn.compact
    def _numbers(self, x, context):
        """Return the `BlockLayer` of each layer, and the residual's logarithms."""
        event_dim, dtype = x.shape[-1], x.dtype
        sizes = [1, *(self.hidden,) * self.layers, 1]
        groups = [
            self._group(l, event_dim, *ends, dtype)
            for l, ends in enumerate(pairwise(sizes))
        ]
        if context is not None:
            shift = nn.Dense(event_dim * sizes[1], False, name="context")(context)
            shift = shift.reshape(*shift.shape[:-1], event_dim, sizes[1]).astype(dtype)
            groups[0] = groups[0]._replace(bias=groups[0].bias + shift)
        residuals = {"gated": None, "plain": (0.0, 0.0), "none": (-jnp.inf, 0.0)}
        residual = residuals[self.residual]
        if residual is None:
            gate = self.param("gate", nn.initializers.zeros, ())
            residual = log_sigmoid(gate), log_sigmoid(-gate)
        return groups, jnp.asarray(residual, dtype)

    def _group(self, l, event_dim, ins, outs, dtype):
        shape = event_dim, outs, event_dim, ins
        init = nn.initializers.normal((event_dim * ins) ** -0.5)
        kernel = self.param(f"kernel_{l}", init, shape).astype(dtype)
        log_scale = self.param(f"log_scale_{l}", nn.initializers.zeros, shape[:2])
        bias = self.param(f"bias_{l}", nn.initializers.zeros, shape[:2])
        log_within = jnp.einsum("dodi->doi", kernel)
        earlier = jnp.tril(jnp.ones((event_dim, event_dim), bool), -1)
        before = jnp.where(earlier[:, None, :, None], kernel, 0)
        squares = (before**2).sum((-2, -1)) + jnp.exp(2 * log_within).sum(-1)
        log_length = jnp.log(squares + jnp.finfo(dtype).tiny) / 2
        log_factor = log_scale.astype(dtype) - log_length
        return BlockLayer(
            before * jnp.exp(log_factor)[..., None, None],
            log_within + log_factor[..., None],
            bias.astype(dtype),
        )


def _forward(numbers, before, x):
    """Return y and log-slopes `[..., D]`; y_i depends on x_i and earlier `before`."""
    groups, residual = numbers
    earlier, pasts = before[..., None], []
    for group in groups:
        past = jnp.einsum("...ei,doei->...do", earlier, group.before) + group.bias
        pasts.append(past)
        earlier = jnp.tanh(_units(past, group.log_within, earlier))
    return _scalar((pasts, [group.log_within for group in groups], residual), x)


def _scalar(parameters, x):
    """Return y and log-slope of one coordinate, given the contributions of the others.

    `past` and `log_within` have an entry for each layer; see `BlockLayer`.
    """
    past, log_within, (keep, change) = parameters
    h = _units(past[0], log_within[0], x[..., None])
    log_slope = log_within[0][..., 0]
    for shift, weights in zip(past[1:], log_within[1:], strict=True):
        # log tanh'(h), without 1 - tanh², which underflows to zero.
        size = jnp.abs(h)
        log_slope += 2 * (jnp.log(2) - size - jnp.log1p(jnp.exp(-2 * size)))
        log_slope = logsumexp(weights + log_slope[..., None, :], -1)
        h = _units(shift, weights, jnp.tanh(h))
    y = jnp.exp(keep) * x + jnp.exp(change) * h[..., 0]
    log_slope = jnp.logaddexp(keep, change + log_slope[..., 0])
    return y, jnp.broadcast_to(log_slope, y.shape)


def _units(past, log_within, h):
    """Return a layer's units `[..., out]` of coordinates from inputs `[..., in]`."""
    return past + jnp.einsum("...i,...oi->...o", h, jnp.exp(log_within))


def _inverse(numbers, y):
    """Return x `[..., D]`, found one coordinate after another."""
    groups, residual = numbers
    batch, event_dim = y.shape[:-1], y.shape[-1]

    def step(known, now):
        i, groups, y = now
        past = [
            jnp.einsum("...ei,oei->...o", h, group.before) + group.bias
            for h, group in zip(known, groups, strict=True)
        ]
        log_within = [group.log_within for group in groups]
        x = increasing_inverse(_scalar, (past, log_within, residual), y)
        h, updated = x[..., None], []
        for l, all_ in enumerate(known):
            at = all_.ndim - 2
            updated.append(lax.dynamic_update_index_in_dim(all_, h, i, at))
            h = jnp.tanh(_units(past[l], log_within[l], h))
        return updated, x

    known = [
        jnp.zeros((*batch, event_dim, group.before.shape[-1]), y.dtype)
        for group in groups
    ]
    groups = [
        # A bias with a batch has its coordinates next to last.
        group._replace(bias=jnp.moveaxis(group.bias, -2, 0))
        for group in groups
    ]
    numbers = jnp.arange(event_dim), groups, jnp.moveaxis(y, -1, 0)
    return jnp.moveaxis(control_flow.scan(step, known, numbers)[1], 0, -1)
