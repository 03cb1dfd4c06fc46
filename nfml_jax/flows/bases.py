"""Base distributions: modules whose call gives a distrax distribution of events `[D]`.

A base may have learned parameters, and with a `conditioner` they depend on the context.
distrax takes seconds to import, so it is imported where a distribution is made.

A base whose coordinates lie within bounds says so by `interval`, and one of unit
vectors by `on_sphere`.
"""

import math
from typing import ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp

from nfml_jax.bijectors.amortized import amortized
from nfml_jax.bijectors.matrices import bounded
from nfml_jax.bijectors.transforms.transform import Interval
from nfml_jax.ops.checks import WIDEST, check_integer, check_interval, check_number
from nfml_jax.ops.values import Value

Array = jax.Array
ZEROS = nn.initializers.zeros


class Normal(Value):
    """Independent standard normal coordinates.

    >>> round(float(Normal(event_dim=2).apply({}).log_prob(jnp.zeros(2))), 3)  # -log 2π
    -1.838
    """

    propagates_nan: ClassVar[bool] = True

    event_dim: int

    def check_options(self):
        check_integer(self, 1, WIDEST, event_dim=self.event_dim)

    def __call__(self, context=None):
        import distrax

        zeros = jnp.zeros(self.event_dim)
        return distrax.Independent(distrax.Normal(zeros, jnp.ones_like(zeros)), 1)


class Uniform(Value):
    """Independent uniform coordinates in [low, high]; minus infinity outside.

    >>> base = Uniform(event_dim=2, low=0.0, high=2.0).apply({})
    >>> round(float(base.log_prob(jnp.ones(2))), 3)  # -2 log 2
    -1.386
    """

    event_dim: int
    low: float = 0.0
    high: float = 1.0

    def check_options(self):
        check_integer(self, 1, WIDEST, event_dim=self.event_dim)
        check_interval(self, low_and_high=(self.low, self.high))

    @property
    def interval(self) -> Interval:
        return self.low, self.high

    def __call__(self, context=None):
        import distrax

        low, high = (
            jnp.full(self.event_dim, self.low),
            jnp.full(self.event_dim, self.high),
        )
        return distrax.Independent(distrax.Uniform(low, high), 1)


class StudentT(Value):
    """Independent Student's t coordinates with learned degrees of freedom.

    `df` is the start of the degrees of freedom. The base keeps a flow's tails heavy
    where its bijector is Lipschitz (Jaini et al. 2020).

    >>> base, variables = StudentT(event_dim=2).init_with_output(jax.random.key(0))
    >>> variables["params"]["df"].shape, base.event_shape
    ((2,), (2,))
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
    """A mixture of normals with learned weights, means and diagonal scales.

    >>> module = GaussianMixture(event_dim=2, components=3)
    >>> base, variables = module.init_with_output(jax.random.key(0))
    >>> variables["params"]["mean"].shape, base.event_shape
    ((3, 2), (2,))
    """

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
    """Independent angles in [-π, π] with learned locations and concentrations.

    >>> base, variables = VonMises(event_dim=2).init_with_output(jax.random.key(0))
    >>> variables["params"]["log_kappa"].shape, base.event_shape
    ((2,), (2,))
    """

    interval: ClassVar[Interval] = (-math.pi, math.pi)

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
    """Unit vectors `[D]` around a learned direction.

    The density is with respect to the area of the sphere.
    """

    on_sphere: ClassVar[bool] = True

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
        # distrax has none, but depends on TensorFlow Probability, which does.
        from tensorflow_probability.substrates import jax as tfp

        return distrax.as_distribution(
            tfp.distributions.VonMisesFisher(mean / size, kappa)
        )


class UniformSphere(Value):
    """Unit vectors `[D]`, uniform with respect to the area of the sphere.

    >>> base = UniformSphere(event_dim=3).apply({})
    >>> round(float(base.log_prob(jnp.array([0.0, 0.0, 1.0]))), 3)  # -log 4π
    -2.531
    """

    on_sphere: ClassVar[bool] = True

    event_dim: int

    def check_options(self):
        check_integer(self, 2, WIDEST, event_dim=self.event_dim)

    def __call__(self, context=None):
        from nfml_jax.flows import distributions

        return distributions.UniformSphere(self.event_dim)


def _dtype(context):
    """Return the precision of parameters: the context's, or the default."""
    return jnp.zeros(()).dtype if context is None else context.dtype
