"""Base distributions: modules whose call gives a distrax distribution of events `[D]`.

A base may have parameters of its own, and with a `conditioner` they follow the context.
"""

import distrax
import flax.linen as nn
import jax
import jax.numpy as jnp

from nfml_jax.bijectors.amortised import amortised
from nfml_jax.bijectors.matrices import bounded

Array = jax.Array
ZEROS = nn.initializers.zeros


class Normal(nn.Module):
    """Independent standard normals."""

    event_dim: int

    def __call__(self, context=None):
        zeros = jnp.zeros(self.event_dim)
        return distrax.Independent(distrax.Normal(zeros, jnp.ones_like(zeros)), 1)


class Uniform(nn.Module):
    """Independent and uniform between `low` and `high`: minus infinity outside."""

    event_dim: int
    low: float = 0.0
    high: float = 1.0

    def __call__(self, context=None):
        low, high = (
            jnp.full(self.event_dim, self.low),
            jnp.full(self.event_dim, self.high),
        )
        return distrax.Independent(distrax.Uniform(low, high), 1)


class StudentT(nn.Module):
    """Independent Student's t, whose degrees of freedom are learned from `df`.

    They keep a flow's tails heavy where its bijector is Lipschitz (Jaini et al. 2020).
    """

    event_dim: int
    df: float = 5.0
    conditioner: nn.Module | None = None

    @nn.compact
    def __call__(self, context=None):
        given = amortised(self, context, _dtype(context), df=(ZEROS, (self.event_dim,)))
        df = self.df * jnp.exp(bounded(given["df"], 5.0))
        return distrax.Independent(_StudentT(df), 1)


class _StudentT(distrax.Distribution):
    def __init__(self, df):
        self._df = df

    @property
    def event_shape(self):
        return ()

    @property
    def batch_shape(self):
        return self._df.shape

    def log_prob(self, value):
        return jax.scipy.stats.t.logpdf(value, self._df)

    def _sample_n(self, key, n):
        return jax.random.t(key, self._df, (n, *self._df.shape), self._df.dtype)


class GaussianMixture(nn.Module):
    """A mixture of normals with learned weights, means and diagonal scales."""

    event_dim: int
    components: int = 8
    conditioner: nn.Module | None = None

    @nn.compact
    def __call__(self, context=None):
        shape = self.components, self.event_dim
        given = amortised(
            self,
            context,
            _dtype(context),
            logits=(ZEROS, shape[:1]),
            mean=(nn.initializers.normal(1.0), shape),
            log_scale=(ZEROS, shape),
        )
        scale = jnp.exp(bounded(given["log_scale"], 5.0))
        return distrax.MixtureSameFamily(
            distrax.Categorical(given["logits"]),
            distrax.MultivariateNormalDiag(given["mean"], scale),
        )


class VonMises(nn.Module):
    """Independent angles in [-π, π], with learned location and concentration."""

    event_dim: int
    conditioner: nn.Module | None = None

    @nn.compact
    def __call__(self, context=None):
        shape = (self.event_dim,)
        given = amortised(
            self, context, _dtype(context), loc=(ZEROS, shape), log_kappa=(ZEROS, shape)
        )
        kappa = jnp.exp(bounded(given["log_kappa"], 5.0))
        return distrax.Independent(distrax.VonMises(given["loc"], kappa), 1)


class VonMisesFisher(nn.Module):
    """Unit vectors `[D]` around a learned direction, by area of the sphere."""

    event_dim: int
    conditioner: nn.Module | None = None

    @nn.compact
    def __call__(self, context=None):
        given = amortised(
            self,
            context,
            _dtype(context),
            mean=(nn.initializers.normal(1.0), (self.event_dim,)),
            log_kappa=(ZEROS, ()),
        )
        mean = given["mean"]
        size = jnp.linalg.norm(mean, axis=-1, keepdims=True)
        kappa = jnp.exp(bounded(given["log_kappa"], 5.0))
        # distrax has none, but is made with TensorFlow Probability's on JAX.
        from tensorflow_probability.substrates import jax as tfp

        return distrax.as_distribution(
            tfp.distributions.VonMisesFisher(mean / size, kappa)
        )


class UniformSphere(nn.Module):
    """Unit vectors `[D]`, uniform by area of the sphere."""

    event_dim: int

    def __call__(self, context=None):
        return _UniformSphere(self.event_dim)


class _UniformSphere(distrax.Distribution):
    def __init__(self, size):
        self._size = size

    @property
    def event_shape(self):
        return (self._size,)

    def log_prob(self, value):
        half = self._size / 2
        log_area = jnp.log(2) + half * jnp.log(jnp.pi) - jax.lax.lgamma(half)
        return jnp.full(value.shape[:-1], -log_area, value.dtype)

    def _sample_n(self, key, n):
        x = jax.random.normal(key, (n, self._size))
        return x / jnp.linalg.norm(x, axis=-1, keepdims=True)


def _dtype(context):
    """The precision of parameters: the context's, else the default."""
    return jnp.zeros(()).dtype if context is None else context.dtype
