"""A mixture of normals whose draws have gradients in all of its parameters.

A draw selects a component, so that its path is not differentiable in the weights. Its
gradient is implicit instead (Figurnov et al. 2018). With F_i the distribution function
of coordinate i given the earlier ones, F_i(z_i) is constant while the parameters change
(Graves 2016, "Stochastic backpropagation through mixture density distributions").
"""

import distrax
import jax
import jax.numpy as jnp
from jax import lax
from jax.nn import log_softmax
from jax.scipy.special import log_ndtr, logsumexp
from jax.scipy.stats import norm

from nfml_jax.ops import control_flow
from nfml_jax.ops.broadcasting import broadcasting

Array = jax.Array


class GaussianMixture(distrax.MixtureSameFamily):
    """A mixture with `logits [..., K]` of normals of `mean` and `scale [..., K, D]`."""

    def __init__(self, logits: Array, mean: Array, scale: Array):
        self._given = logits, mean, scale
        super().__init__(
            distrax.Categorical(logits), distrax.MultivariateNormalDiag(mean, scale)
        )

    def _sample_n(self, key, n):
        z = super()._sample_n(key, n)
        return with_implicit_gradient(lax.stop_gradient(z), *self._given)


@jax.custom_jvp
def with_implicit_gradient(z: Array, logits: Array, mean: Array, scale: Array) -> Array:
    """Return the draws `z [..., D]` of a mixture, differentiable in its parameters."""
    return z


@with_implicit_gradient.defjvp
@broadcasting
def _(primals, tangents):
    z, logits, mean, scale = primals
    d_z, d_logits, d_mean, d_scale = tangents
    # The coordinates first: [D, ..., K].
    mean, scale, d_mean, d_scale = (
        jnp.moveaxis(a, -1, 0) for a in (mean, scale, d_mean, d_scale)
    )
    t = (jnp.moveaxis(z, -1, 0)[..., None] - mean) / scale
    log_density = norm.logpdf(t) - jnp.log(scale)
    after = log_softmax(logits) + jnp.cumsum(log_density, 0)
    before = log_softmax(after - log_density)
    # The components' shares of each coordinate's density, and the derivative of z_i in
    # their weights, which is the smaller tail relative to the density.
    shares = jax.nn.softmax(after)
    log_lower, log_upper = before + log_ndtr(t), before + log_ndtr(-t)
    lower = logsumexp(log_lower, -1, keepdims=True) < -0.69
    log_at = logsumexp(before + log_density, -1, keepdims=True)
    tails = jnp.exp(jnp.where(lower, log_lower, log_upper) - log_at)
    tails = jnp.where(lower, -tails, tails)

    def step(d_log_weights, given):
        before, shares, tails, t, scale, d_mean, d_scale = given
        moved = (shares * (d_mean + t * d_scale)).sum(-1)
        change = d_log_weights - (jnp.exp(before) * d_log_weights).sum(
            -1, keepdims=True
        )
        d_z = moved + (tails * change).sum(-1)
        d_t = (d_z[..., None] - d_mean - t * d_scale) / scale
        return d_log_weights - t * d_t - d_scale / scale, d_z

    start = jnp.broadcast_to(d_logits, t.shape[1:])
    given = before, shares, tails, t, scale, d_mean, d_scale
    _, implicit = control_flow.scan(step, start, given)
    return z, d_z + jnp.moveaxis(implicit, 0, -1)
