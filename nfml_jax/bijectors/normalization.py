"""Layers that normalise each coordinate by what they see: ActNorm and batch norm."""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp

from nfml_jax.bijectors.bijector import Bijector
from nfml_jax.ops.checks import check_number

Array = jax.Array

# Statistics of the data, updated where the collection is mutable.
STATISTICS = "batch_stats"


class ActNorm(Bijector):
    """y = x exp(s) + t, started by the data (Kingma & Dhariwal 2018, section 3.1).

    The batch that the module is initialised with comes out with mean 0 and standard
    deviation 1 in every coordinate, in whichever direction it flows then; later s and t
    are parameters as any. A coordinate that is constant in that batch keeps its scale,
    and a batch of a single row says nothing: the map starts as the identity.
    """

    def forward_and_log_det(self, x, context=None):
        log_scale, shift = self._parameters(x, inverse=False)
        return x * jnp.exp(log_scale) + shift, _everywhere(log_scale, x)

    def inverse_and_log_det(self, y, context=None):
        log_scale, shift = self._parameters(y, inverse=True)
        return (y - shift) * jnp.exp(-log_scale), _everywhere(-log_scale, y)

    @nn.compact
    def _parameters(self, x, *, inverse):
        start = partial(_normalising, x, inverse)
        log_scale = self.param("log_scale", lambda _: start()[0])
        shift = self.param("shift", lambda _: start()[1])
        return log_scale.astype(x.dtype), shift.astype(x.dtype)


def _normalising(x, inverse):
    """The log-scale and shift that give `x`, or its inverse, mean 0 and variance 1."""
    rows = x.reshape(-1, x.shape[-1])
    if len(rows) < 2:
        return jnp.zeros_like(rows[0]), jnp.zeros_like(rows[0])
    mean, spread = rows.mean(0), rows.std(0)
    # What rounding leaves of a constant is no spread.
    varies = spread > 1e-6 * jnp.abs(mean)
    log_spread = jnp.where(varies, jnp.log(jnp.where(varies, spread, 1)), 0)
    if inverse:
        return log_spread, mean
    return -log_spread, -mean * jnp.exp(-log_spread)


class BatchNorm(Bijector):
    """Batch normalisation from data to base (MAF, Papamakarios et al. 2017, eq. 19).

    inverse: x = (y - m) / √(v + ε) · exp(γ) + β. While the collection "batch_stats" is
    mutable, m and v are the batch's and go into the running ones; else they are the
    running ones, as they always are in `forward`, which sees nothing of y. To normalise
    in `forward`, as in variational inference, take `Inverse(BatchNorm())`.

    The running statistics are plain means of the batches so far, until the weight of
    the last one would fall below 1 - `momentum`. With `axis_name` a batch is that of
    all devices of this axis. `fit_statistics` sets them to a whole set's.
    """

    momentum: float = 0.99
    epsilon: float = 1e-5
    axis_name: str | None = None

    def check_options(self):
        check_number(self, 0.0, below=1.0, momentum=self.momentum)
        check_number(self, above=0.0, epsilon=self.epsilon)

    def forward_and_log_det(self, x, context=None):
        log_gain, bias, mean, variance = self._parameters(x, observe=False)
        log_scale = 0.5 * jnp.log(variance + self.epsilon) - log_gain
        y = (x - bias) * jnp.exp(log_scale) + mean
        return y, _everywhere(log_scale, x)

    def inverse_and_log_det(self, y, context=None):
        log_gain, bias, mean, variance = self._parameters(y, observe=True)
        log_scale = log_gain - 0.5 * jnp.log(variance + self.epsilon)
        x = (y - mean) * jnp.exp(log_scale) + bias
        return x, _everywhere(log_scale, y)

    @nn.compact
    def _parameters(self, x, *, observe):
        shape, dtype, zeros = x.shape[-1:], x.dtype, nn.initializers.zeros
        log_gain = self.param("log_gain", zeros, shape).astype(dtype)
        bias = self.param("bias", zeros, shape).astype(dtype)
        mean = self.variable(STATISTICS, "mean", jnp.zeros, shape)
        variance = self.variable(STATISTICS, "variance", jnp.ones, shape)
        batches = self.variable(STATISTICS, "batches", jnp.zeros, ())
        mutable = self.is_mutable_collection(STATISTICS)
        if not (observe and mutable) or self.is_initializing():
            return (
                log_gain,
                bias,
                mean.value.astype(dtype),
                variance.value.astype(dtype),
            )
        seen = self._moments(x)
        batches.value += 1
        weight = jnp.maximum(1 / batches.value, 1 - self.momentum)
        for running, now in zip((mean, variance), seen, strict=True):
            running.value += weight * (now.astype(running.value.dtype) - running.value)
        return log_gain, bias, *seen

    def _moments(self, x):
        """The mean and variance of each coordinate, over all devices' batches."""

        def average(values):
            values = values.reshape(-1, values.shape[-1]).mean(0)
            return jax.lax.pmean(values, self.axis_name) if self.axis_name else values

        mean = average(x)
        return mean, average((x - mean) ** 2)


def fit_statistics(module: nn.Module, variables, *arguments, **options):
    """`variables` with the statistics of every `BatchNorm` in `module` set by one call.

    `module.apply(variables, *arguments, **options)` should flow through them as
    training does, e.g. a `Flow` called on the whole train set, which gives the
    statistics that MAF evaluates with. What they were before is forgotten.
    """
    # A mean of no batches yet is the first one's.
    forgotten = jax.tree.map(jnp.zeros_like, variables[STATISTICS])
    given = {**variables, STATISTICS: forgotten}
    _, updated = module.apply(given, *arguments, mutable=[STATISTICS], **options)
    return {**variables, **updated}


def _everywhere(log_scale, x):
    return jnp.broadcast_to(log_scale.sum(-1), x.shape[:-1])
