"""Base distributions: modules whose call gives a distrax distribution of events `[D]`.

A base may have parameters of its own, and with a `conditioner` they follow the context.
distrax takes seconds to import, so it is imported where a distribution is made.
"""

from typing import ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp

from nfml_jax.bijectors.amortized import amortized
from nfml_jax.bijectors.matrices import bounded
from nfml_jax.ops.checks import WIDEST, check_integer, check_interval, check_number
from nfml_jax.ops.values import Value

Array = jax.Array
ZEROS = nn.initializers.zeros


class Normal(Value):
    """Independent standard normals."""

    propagates_nan: ClassVar[bool] = True

    event_dim: int

    def check_options(self):
        check_integer(self, 1, WIDEST, event_dim=self.event_dim)

    def __call__(self, context=None):
        import distrax

        zeros = jnp.zeros(self.event_dim)
        return distrax.Independent(distrax.Normal(zeros, jnp.ones_like(zeros)), 1)


class Uniform(Value):
    """Independent and uniform between `low` and `high`: minus infinity outside."""

    event_dim: int
    low: float = 0.0
    high: float = 1.0

    def check_options(self):
        check_integer(self, 1, WIDEST, event_dim=self.event_dim)
        check_interval(self, low_and_high=(self.low, self.high))

    def __call__(self, context=None):
        import distrax

        low, high = (
            jnp.full(self.event_dim, self.low),
            jnp.full(self.event_dim, self.high),
        )
        return distrax.Independent(distrax.Uniform(low, high), 1)


class StudentT(Value):
    """Independent Student's t, whose degrees of freedom are learned from `df`.

    They keep a flow's tails heavy where its bijector is Lipschitz (Jaini et al. 2020).
    """

    event_dim: int
    df: float = 5.0
    conditioner: nn.Module | None = None

    def check_options(self):
        check_integer(self, 1, WIDEST, event_dim=self.event_dim)
        check_number(self, above=0.0, df=self.df)

    @nn.compact
    def __call__(self, context=None):
        import distrax

        from nfml_jax.flows import distributions

        given = amortized(self, context, _dtype(context), df=(ZEROS, (self.event_dim,)))
        df = self.df * jnp.exp(bounded(given["df"], 5.0))
        return distrax.Independent(distributions.StudentT(df), 1)


class GaussianMixture(Value):
    """A mixture of normals with learned weights, means and diagonal scales."""

    event_dim: int
    components: int = 8
    conditioner: nn.Module | None = None

    def check_options(self):
        check_integer(self, 1, WIDEST, event_dim=self.event_dim)
        check_integer(self, 1, components=self.components)

    @nn.compact
    def __call__(self, context=None):
        from nfml_jax.flows import mixture

        shape = self.components, self.event_dim
        given = amortized(
            self,
            context,
            _dtype(context),
            logits=(ZEROS, shape[:1]),
            mean=(nn.initializers.normal(1.0), shape),
            log_scale=(ZEROS, shape),
        )
        scale = jnp.exp(bounded(given["log_scale"], 5.0))
        return mixture.GaussianMixture(given["logits"], given["mean"], scale)


class VonMises(Value):
    """Independent angles in [-π, π], with learned location and concentration."""

    event_dim: int
    conditioner: nn.Module | None = None

    def check_options(self):
        check_integer(self, 1, WIDEST, event_dim=self.event_dim)

    @nn.compact
    def __call__(self, context=None):
        import distrax

        shape = (self.event_dim,)
        given = amortized(
            self, context, _dtype(context), loc=(ZEROS, shape), log_kappa=(ZEROS, shape)
        )
        kappa = jnp.exp(bounded(given["log_kappa"], 5.0))
        return distrax.Independent(distrax.VonMises(given["loc"], kappa), 1)


class VonMisesFisher(Value):
    """Unit vectors `[D]` around a learned direction, by area of the sphere."""

    event_dim: int
    conditioner: nn.Module | None = None

    def check_options(self):
        check_integer(self, 2, WIDEST, event_dim=self.event_dim)

    @nn.compact
    def __call__(self, context=None):
        import distrax

        given = amortized(
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


class UniformSphere(Value):
    """Unit vectors `[D]`, uniform by area of the sphere."""

    event_dim: int

    def check_options(self):
        check_integer(self, 2, WIDEST, event_dim=self.event_dim)

    def __call__(self, context=None):
        from nfml_jax.flows import distributions

        return distributions.UniformSphere(self.event_dim)


def _dtype(context):
    """The precision of parameters: the context's, else the default."""
    return jnp.zeros(()).dtype if context is None else context.dtype
