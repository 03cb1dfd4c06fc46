"""Block neural autoregressive flow: one monotone network for all coordinates at once.

De Cao, Titov & Aziz 2019. Each coordinate has a group of hidden units; weights within a
group are positive, weights to later groups are free, all others are zero.
"""

from itertools import pairwise
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax
from jax.nn import log_sigmoid, logsumexp

from nfml_jax.bijectors.bijector import Bijector
from nfml_jax.bijectors.fixed_point import jacobi, triangular_inverse
from nfml_jax.bijectors.transforms.numerical_inverse import increasing_inverse
from nfml_jax.ops import control_flow
from nfml_jax.ops.checks import DEEPEST, WIDEST, check_choice, check_integer

Array = jax.Array

# In units in the last place; see `jacobi`.
TOLERANCE = 8.0


class Group(NamedTuple):
    """A layer's numbers for one coordinate's units, or with a leading axis D for all.

    `before [out, D, in]` weighs earlier groups, `log_own [out, in]` is the logarithm of
    the group's own weights, `bias [..., out]` may depend on the context.
    """

    before: Array
    log_own: Array
    bias: Array


class BlockAutoregressive(Bijector):
    """y_i = monotone network of x_i, whose biases are free networks of x before i.

    `layers` hidden layers have `hidden` tanh units for each coordinate; rows of weights
    are normalised and scaled. `residual` is "gated", α x + (1 - α) f(x) with learned α;
    "plain", x + f(x); or "none": then y is bounded, and only such y can be inverted.
    The forward direction is one pass. The inverse solves for one coordinate after
    another numerically, but evaluates each unit's share of earlier ones only once.
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
        """Every layer's `Group` of all coordinates, and the residual's logarithms."""
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
        log_own = jnp.einsum("dodi->doi", kernel)
        earlier = jnp.tril(jnp.ones((event_dim, event_dim), bool), -1)
        before = jnp.where(earlier[:, None, :, None], kernel, 0)
        squares = (before**2).sum((-2, -1)) + jnp.exp(2 * log_own).sum(-1)
        log_length = jnp.log(squares + jnp.finfo(dtype).tiny) / 2
        log_factor = log_scale.astype(dtype) - log_length
        return Group(
            before * jnp.exp(log_factor)[..., None, None],
            log_own + log_factor[..., None],
            bias.astype(dtype),
        )


def _forward(numbers, before, x):
    """y and its log-slopes `[..., D]`; y_i sees x_i, and `before` at earlier places."""
    groups, residual = numbers
    earlier, pasts = before[..., None], []
    for group in groups:
        past = jnp.einsum("...ei,doei->...do", earlier, group.before) + group.bias
        pasts.append(past)
        earlier = jnp.tanh(_units(past, group.log_own, earlier))
    return _scalar((pasts, [group.log_own for group in groups], residual), x)


def _scalar(parameters, x):
    """A coordinate as a function of itself: y and log-slope, given what others add.

    `past` and `log_own` have an entry for each layer; see `Group`.
    """
    past, log_own, (keep, change) = parameters
    h = _units(past[0], log_own[0], x[..., None])
    log_slope = log_own[0][..., 0]
    for shift, weights in zip(past[1:], log_own[1:], strict=True):
        # log tanh'(h), without 1 - tanh², which is zero far out.
        size = jnp.abs(h)
        log_slope += 2 * (jnp.log(2) - size - jnp.log1p(jnp.exp(-2 * size)))
        log_slope = logsumexp(weights + log_slope[..., None, :], -1)
        h = _units(shift, weights, jnp.tanh(h))
    y = jnp.exp(keep) * x + jnp.exp(change) * h[..., 0]
    log_slope = jnp.logaddexp(keep, change + log_slope[..., 0])
    return y, jnp.broadcast_to(log_slope, y.shape)


def _units(past, log_own, h):
    """A layer of coordinates' own units `[..., out]`, their inputs `[..., in]`."""
    return past + jnp.einsum("...i,...oi->...o", h, jnp.exp(log_own))


def _inverse(numbers, y):
    """x `[..., D]`, one coordinate after another."""
    groups, residual = numbers
    batch, event_dim = y.shape[:-1], y.shape[-1]

    def step(known, now):
        i, groups, y = now
        past = [
            jnp.einsum("...ei,oei->...o", h, group.before) + group.bias
            for h, group in zip(known, groups, strict=True)
        ]
        log_own = [group.log_own for group in groups]
        x = increasing_inverse(_scalar, (past, log_own, residual), y)
        h, updated = x[..., None], []
        for l, all_ in enumerate(known):
            at = all_.ndim - 2
            updated.append(lax.dynamic_update_index_in_dim(all_, h, i, at))
            h = jnp.tanh(_units(past[l], log_own[l], h))
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
