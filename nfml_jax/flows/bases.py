"""Base distributions: modules whose call gives a distrax distribution of events.

Events are vectors `[D]` of `event_dim` numbers, or arrays of `event_shape`, such as
images `[H, W, C]`. A base may have learned parameters, and with a `conditioner` they
depend on the context. distrax takes seconds to import, so it is imported where a
distribution is made.

`Base.interval` has the bounds of coordinates, and `Base.on_sphere` is True for unit
vectors.
"""

import math
from typing import ClassVar

import flax.linen as nn
import jax.numpy as jnp

from nfml_jax.bijectors.amortized import amortized
from nfml_jax.bijectors.matrices import bounded
from nfml_jax.bijectors.transforms.transform import Interval
from nfml_jax.flows.base import ZEROS, Base, dtype_of
from nfml_jax.flows.normal_bases import ClassConditional as ClassConditional
from nfml_jax.flows.normal_bases import GaussianMixture as GaussianMixture
from nfml_jax.flows.normal_bases import LearnedNormal as LearnedNormal
from nfml_jax.flows.normal_bases import Normal as Normal
from nfml_jax.ops.checks import check_interval, check_number


class Uniform(Base):
    """Independent uniform coordinates in [low, high]; minus infinity outside.

    >>> base = Uniform(event_dim=2, low=0.0, high=2.0).apply({})
    >>> round(float(base.log_prob(jnp.ones(2))), 3)  # -2 log 2
    -1.386
    """

    low: float = 0.0
    high: float = 1.0

    def check_options(self):
        super().check_options()
        check_interval(self, low_and_high=(self.low, self.high))

    @property
    def interval(self) -> Interval:
        return self.low, self.high

    def __call__(self, context=None):
        import distrax

        low, high = jnp.full(self.shape, self.low), jnp.full(self.shape, self.high)
        return self.independent(distrax.Uniform(low, high))


class Logistic(Base):
    """Independent standard logistic coordinates: what a mixture of logistics maps to.

    >>> base = Logistic(event_dim=2).apply({})
    >>> round(float(base.log_prob(jnp.zeros(2))), 3)  # -2 log 4
    -2.773
    """

    propagates_nan: ClassVar[bool] = True

    def __call__(self, context=None):
        import distrax

        zeros = jnp.zeros(self.shape)
        return self.independent(distrax.Logistic(zeros, jnp.ones_like(zeros)))


class StudentT(Base):
    """Independent Student's t coordinates with learned degrees of freedom.

    `df` is the start of the degrees of freedom. The base keeps a flow's tails heavy
    where its bijector is Lipschitz (Jaini et al. 2020).

    >>> import jax
    >>> base, variables = StudentT(event_dim=2).init_with_output(jax.random.key(0))
    >>> variables["params"]["df"].shape, base.event_shape
    ((2,), (2,))
    """

    df: float = 5.0
    conditioner: nn.Module | None = None

    def check_options(self):
        super().check_options()
        check_number(self, above=0.0, df=self.df)

    @nn.compact
    def __call__(self, context=None):
        from nfml_jax.flows import distributions

        given = amortized(self, context, dtype_of(context), df=(ZEROS, self.shape))
        df = self.df * jnp.exp(bounded(given["df"], 5.0))
        return self.independent(distributions.StudentT(df))


class VonMises(Base):
    """Independent angles in [-π, π] with learned locations and concentrations.

    >>> import jax
    >>> base, variables = VonMises(event_dim=2).init_with_output(jax.random.key(0))
    >>> variables["params"]["log_kappa"].shape, base.event_shape
    ((2,), (2,))
    """

    conditioner: nn.Module | None = None

    @property
    def interval(self) -> Interval:
        return -math.pi, math.pi

    @nn.compact
    def __call__(self, context=None):
        import distrax

        shape = self.shape
        given = amortized(
            self,
            context,
            dtype_of(context),
            loc=(ZEROS, shape),
            log_kappa=(ZEROS, shape),
        )
        kappa = jnp.exp(bounded(given["log_kappa"], 5.0))
        return self.independent(distrax.VonMises(given["loc"], kappa))


class VonMisesFisher(Base):
    """Unit vectors `[D]` around a learned direction.

    The density is with respect to the area of the sphere.
    """

    least_dim: ClassVar[int] = 2
    vectors_only: ClassVar[bool] = True

    conditioner: nn.Module | None = None

    @property
    def on_sphere(self) -> bool:
        return True

    @nn.compact
    def __call__(self, context=None):
        import distrax

        given = amortized(
            self,
            context,
            dtype_of(context),
            mean=(nn.initializers.normal(1.0), (self.event_dim,)),
            log_kappa=(ZEROS, ()),
        )
        mean = given["mean"]
        size = jnp.linalg.norm(mean, axis=-1, keepdims=True)
        kappa = jnp.exp(bounded(given["log_kappa"], 5.0))
        # distrax has none, but depends on TensorFlow Probability, which does.
        from tensorflow_probability.substrates import jax as tfp

        return distrax.as_distribution(
            tfp.distributions.VonMisesFisher(mean / size, kappa)
        )


class UniformSphere(Base):
    """Unit vectors `[D]`, uniform with respect to the area of the sphere.

    >>> base = UniformSphere(event_dim=3).apply({})
    >>> round(float(base.log_prob(jnp.array([0.0, 0.0, 1.0]))), 3)  # -log 4π
    -2.531
    """

    least_dim: ClassVar[int] = 2
    vectors_only: ClassVar[bool] = True

    @property
    def on_sphere(self) -> bool:
        return True

    def __call__(self, context=None):
        from nfml_jax.flows import distributions

        return distributions.UniformSphere(self.event_dim)
