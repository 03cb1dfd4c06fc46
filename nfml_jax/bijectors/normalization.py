"""Layers that normalize each coordinate by statistics of the data."""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp

from nfml_jax.bijectors.bijector import OnLastAxis
from nfml_jax.ops.checks import check_number

Array = jax.Array

# Statistics of the data, updated where the collection is mutable.
STATISTICS = "batch_stats"


class ActNorm(OnLastAxis):
    """y = x exp(s) + t, initialized by data (Kingma & Dhariwal 2018, section 3.1).

    The batch that initializes the module is mapped to mean 0 and standard deviation 1
    in every coordinate, in the direction of that call. Afterwards s and t are ordinary
    parameters. A coordinate that is constant in the batch keeps its scale. With a batch
    of one row the map starts as the identity. On images the coordinates are the
    channels, and a row is a pixel of an image.

    Attributes:
      axis_name: The device axis whose devices share the batch, or None. It is needed
        within `jax.shard_map` or `jax.pmap` only, where a device sees its own share.

    >>> layer, x = ActNorm(), jnp.array([[0.0, 1.0], [2.0, 5.0]])
    >>> variables = layer.init(jax.random.key(0), x)
    >>> y, log_det = layer.apply(variables, x)
    >>> y.tolist(), round(float(log_det[0]), 3)
    ([[-1.0, -1.0], [1.0, 1.0]], -0.693)
    """

    axis_name: str | None = None

    def forward_and_log_det(self, x, context=None):
        log_scale, shift = self._parameters(x, inverse=False)
        return x * jnp.exp(log_scale) + shift, _everywhere(log_scale, x)

    def inverse_and_log_det(self, y, context=None):
        log_scale, shift = self._parameters(y, inverse=True)
        return (y - shift) * jnp.exp(-log_scale), _everywhere(-log_scale, y)

    @nn.compact
    def _parameters(self, x, *, inverse):
        start = partial(_normalizing, x, inverse, self.axis_name)
        log_scale = self.param("log_scale", lambda _: start()[0])
        shift = self.param("shift", lambda _: start()[1])
        return log_scale.astype(x.dtype), shift.astype(x.dtype)


def _normalizing(x, inverse, axis_name):
    """Return the log-scale and shift that map `x` to mean 0 and variance 1.

    If `inverse` is true, the inverse of the map does so.
    """
    rows = x.reshape(-1, x.shape[-1])
    if len(rows) < 2:
        return jnp.zeros_like(rows[0]), jnp.zeros_like(rows[0])
    mean, spread = rows.mean(0), rows.std(0)
    if axis_name is not None:
        own, mean = mean, jax.lax.pmean(mean, axis_name)
        square = jax.lax.pmean(spread**2 + (own - mean) ** 2, axis_name)
        spread = jnp.sqrt(square)
    # The spread of a constant is zero up to rounding.
    varies = spread > 1e-6 * jnp.abs(mean)
    log_spread = jnp.where(varies, jnp.log(jnp.where(varies, spread, 1)), 0)
    if inverse:
        return log_spread, mean
    return -log_spread, -mean * jnp.exp(-log_spread)


class BatchNormalization(OnLastAxis):
    """Batch normalization from data to base (MAF, Papamakarios et al. 2017, eq. 19).

    The inverse is x = (y - m) / √(v + ε) · exp(γ) + β. While the collection
    "batch_stats" is mutable, m and v are the mean and variance of the batch, and update
    the running ones. Otherwise they are the running ones. `forward` always uses the
    running ones, as it doesn't know y. To normalize in `forward`, as in variational
    inference, use `Inverse(BatchNormalization())`.

    The running statistics are plain means of the batches so far, until the weight of
    the last batch would fall below 1 - `momentum`. `fit_statistics` sets them to those
    of a whole data set.

    Attributes:
      momentum: The largest weight of the running statistics in an update.
      epsilon: ε, which is added to the variance.
      axis_name: The device axis whose devices share one batch, or None.

    >>> layer, x = BatchNormalization(), jnp.array([[0.0, 1.0], [2.0, 5.0]])
    >>> variables = layer.init(jax.random.key(0), x)
    >>> training = {"method": "inverse", "mutable": ["batch_stats"]}
    >>> z, statistics = layer.apply(variables, x, **training)
    >>> z.round(3).tolist(), statistics["batch_stats"]["mean"].tolist()
    ([[-1.0, -1.0], [1.0, 1.0]], [1.0, 3.0])
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
        """Return the mean and variance of each coordinate over all devices' rows."""

        def average(values):
            values = values.reshape(-1, values.shape[-1]).mean(0)
            return jax.lax.pmean(values, self.axis_name) if self.axis_name else values

        mean = average(x)
        return mean, average((x - mean) ** 2)


def fit_statistics(module: nn.Module, variables, *arguments, **options):
    """Return `variables` with the statistics of every `BatchNormalization` set anew.

    Args:
      module: The module that contains the layers, such as a `Flow`.
      variables: Its variables.
      *arguments: The arguments of one call `module.apply(variables, *arguments,
        **options)` in the direction of training. For the statistics that MAF evaluates
        with, it is the log-density of the whole train set.
      **options: The options of that call.

    >>> from nfml_jax.bijectors import BatchNormalization
    >>> layer, x = BatchNormalization(), jnp.array([[0.0, 1.0], [2.0, 5.0]])
    >>> variables = layer.init(jax.random.key(0), x)
    >>> fitted = fit_statistics(layer, variables, x, method="inverse")
    >>> fitted["batch_stats"]["mean"].tolist()
    [1.0, 3.0]
    """
    # The first batch after a reset replaces the running statistics.
    reset = jax.tree.map(jnp.zeros_like, variables[STATISTICS])
    given = {**variables, STATISTICS: reset}
    _, updated = module.apply(given, *arguments, mutable=[STATISTICS], **options)
    return {**variables, **updated}


def _everywhere(log_scale, x):
    return jnp.broadcast_to(log_scale.sum(-1), x.shape[:-1])
