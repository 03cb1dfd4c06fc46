"""Base distributions: modules whose call gives a distrax distribution of events.

Events are vectors `[D]` of `event_dim` numbers, or arrays of `event_shape`, such as
images `[H, W, C]`. A base may have learned parameters, and with a `conditioner` they
depend on the context. distrax takes seconds to import, so it is imported where a
distribution is made.

A base whose coordinates lie within bounds says so by `interval`, and one of unit
vectors by `on_sphere`.
"""

import dataclasses
import math
from typing import ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp

from nfml_jax.bijectors.amortized import amortized
from nfml_jax.bijectors.matrices import bounded
from nfml_jax.bijectors.transforms.transform import Interval
from nfml_jax.errors import UserError
from nfml_jax.ops.checks import (
    WIDEST,
    check_integer,
    check_interval,
    check_number,
    check_sizes,
)
from nfml_jax.ops.values import Value

Array = jax.Array
ZEROS = nn.initializers.zeros


class Base(Value):
    """The shape of events, which all bases have.

    Attributes:
      event_dim: The number of coordinates of a vector, or 0 if `event_shape` is given.
      event_shape: The shape of an event, or () for vectors of `event_dim`.
    """

    event_dim: int = 0
    event_shape: tuple[int, ...] = dataclasses.field(default=(), kw_only=True)

    least_dim: ClassVar[int] = 1
    vectors_only: ClassVar[bool] = False

    def check_options(self):
        if not self.event_shape:
            check_integer(self, self.least_dim, WIDEST, event_dim=self.event_dim)
            return
        check_sizes(self, event_shape=self.event_shape)
        if self.vectors_only:
            raise UserError(
                f"{type(self).__name__} got event_shape={self.event_shape}; it is a "
                "distribution of vectors, so give event_dim."
            )
        if self.event_dim:
            raise UserError(
                f"{type(self).__name__} got event_dim={self.event_dim} and event_shape="
                f"{self.event_shape}; give one of them."
            )

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of an event."""
        return self.event_shape or (self.event_dim,)

    @nn.nowrap
    def independent(self, distribution):
        """Return a distribution of numbers `[..., *shape]` as one of events."""
        import distrax

        return distrax.Independent(distribution, len(self.shape))


class Normal(Base):
    """Independent standard normal coordinates.

    >>> round(float(Normal(event_dim=2).apply({}).log_prob(jnp.zeros(2))), 3)  # -log 2π
    -1.838
    """

    propagates_nan: ClassVar[bool] = True

    def __call__(self, context=None):
        import distrax

        zeros = jnp.zeros(self.shape)
        return self.independent(distrax.Normal(zeros, jnp.ones_like(zeros)))


class LearnedNormal(Base):
    """Independent normal coordinates with learned means and scales.

    They start as standard normals. With a `conditioner` they depend on the context;
    `MLP(hidden=())` of a one-hot class gives each class its own.

    >>> base = LearnedNormal(event_shape=(4, 4, 2))
    >>> base, variables = base.init_with_output(jax.random.key(0))
    >>> variables["params"]["mean"].shape, base.event_shape
    ((4, 4, 2), (4, 4, 2))
    """

    propagates_nan: ClassVar[bool] = True

    conditioner: nn.Module | None = None

    @nn.compact
    def __call__(self, context=None):
        import distrax

        given = amortized(
            self,
            context,
            _dtype(context),
            mean=(ZEROS, self.shape),
            log_scale=(ZEROS, self.shape),
        )
        scale = jnp.exp(bounded(given["log_scale"], 5.0))
        return self.independent(distrax.Normal(given["mean"], scale))


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


class StudentT(Base):
    """Independent Student's t coordinates with learned degrees of freedom.

    `df` is the start of the degrees of freedom. The base keeps a flow's tails heavy
    where its bijector is Lipschitz (Jaini et al. 2020).

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

        given = amortized(self, context, _dtype(context), df=(ZEROS, self.shape))
        df = self.df * jnp.exp(bounded(given["df"], 5.0))
        return self.independent(distributions.StudentT(df))


class GaussianMixture(Base):
    """A mixture of normals with learned weights, means and diagonal scales.

    >>> module = GaussianMixture(event_dim=2, components=3)
    >>> base, variables = module.init_with_output(jax.random.key(0))
    >>> variables["params"]["mean"].shape, base.event_shape
    ((3, 2), (2,))
    """

    components: int = 8
    conditioner: nn.Module | None = None

    def check_options(self):
        super().check_options()
        check_integer(self, 1, components=self.components)

    @nn.compact
    def __call__(self, context=None):
        shape = self.components, *self.shape
        given = amortized(
            self,
            context,
            _dtype(context),
            logits=(ZEROS, shape[:1]),
            mean=(nn.initializers.normal(1.0), shape),
            log_scale=(ZEROS, shape),
        )
        scale = jnp.exp(bounded(given["log_scale"], 5.0))
        return _mixture(given["logits"], given["mean"], scale, self.shape)


class ClassConditional(Base):
    """Normal coordinates with learned means and scales for each class.

    Given a context, a one-hot class `[..., classes]`, it is that class's normal; means
    and log-scales are weighted by other numbers. Without one it is the mixture of all
    classes with learned weights, for data of which some have no label. A class can be
    inferred from an event by Bayes' rule: `class_log_probs` gives log p(z, class).

    >>> base = ClassConditional(2, classes=3)
    >>> variables = base.init(jax.random.key(0))
    >>> z = jnp.zeros((5, 2))
    >>> base.apply(variables, z, method="class_log_probs").shape
    (5, 3)
    """

    classes: int = 10
    spread: float = 1.0

    def check_options(self):
        super().check_options()
        check_integer(self, 1, WIDEST, classes=self.classes)
        check_number(self, 0.0, spread=self.spread)

    def setup(self):
        shape = self.classes, *self.shape
        self.mean = self.param("mean", nn.initializers.normal(self.spread), shape)
        self.log_scale = self.param("log_scale", ZEROS, shape)
        self.logits = self.param("logits", ZEROS, shape[:1])

    def __call__(self, context=None):
        if context is None:
            return _mixture(self.logits, self.mean, self._scale(), self.shape)
        import distrax

        if context.shape[-1] != self.classes:
            raise UserError(
                f"ClassConditional of {self.classes} classes got a context of shape "
                f"{list(context.shape)}; expected [..., {self.classes}], one-hot."
            )
        mean = jnp.tensordot(context, self.mean, 1, precision="highest")
        log_scale = bounded(self.log_scale, 5.0)
        log_scale = jnp.tensordot(context, log_scale, 1, precision="highest")
        return self.independent(distrax.Normal(mean, jnp.exp(log_scale)))

    def class_log_probs(self, z: Array) -> Array:
        """Return log p(z, class) `[..., classes]` of events z `[..., *shape]`."""
        import distrax

        of_class = self.independent(distrax.Normal(self.mean, self._scale()))
        z = jnp.expand_dims(z, -1 - len(self.shape))
        return jnp.asarray(of_class.log_prob(z)) + jax.nn.log_softmax(self.logits)

    def _scale(self):
        return jnp.exp(bounded(self.log_scale, 5.0))


class VonMises(Base):
    """Independent angles in [-π, π] with learned locations and concentrations.

    >>> base, variables = VonMises(event_dim=2).init_with_output(jax.random.key(0))
    >>> variables["params"]["log_kappa"].shape, base.event_shape
    ((2,), (2,))
    """

    interval: ClassVar[Interval] = (-math.pi, math.pi)

    conditioner: nn.Module | None = None

    @nn.compact
    def __call__(self, context=None):
        import distrax

        shape = self.shape
        given = amortized(
            self, context, _dtype(context), loc=(ZEROS, shape), log_kappa=(ZEROS, shape)
        )
        kappa = jnp.exp(bounded(given["log_kappa"], 5.0))
        return self.independent(distrax.VonMises(given["loc"], kappa))


class VonMisesFisher(Base):
    """Unit vectors `[D]` around a learned direction.

    The density is with respect to the area of the sphere.
    """

    on_sphere: ClassVar[bool] = True
    least_dim: ClassVar[int] = 2
    vectors_only: ClassVar[bool] = True

    conditioner: nn.Module | None = None

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


class UniformSphere(Base):
    """Unit vectors `[D]`, uniform with respect to the area of the sphere.

    >>> base = UniformSphere(event_dim=3).apply({})
    >>> round(float(base.log_prob(jnp.array([0.0, 0.0, 1.0]))), 3)  # -log 4π
    -2.531
    """

    on_sphere: ClassVar[bool] = True
    least_dim: ClassVar[int] = 2
    vectors_only: ClassVar[bool] = True

    def __call__(self, context=None):
        from nfml_jax.flows import distributions

        return distributions.UniformSphere(self.event_dim)


def _mixture(logits, mean, scale, shape):
    """Return the mixture by `logits [..., K]` of normals of `mean [..., K, *shape]`."""
    from nfml_jax.flows import distributions, mixture

    flat = mean.shape[: mean.ndim - len(shape)]
    mean, scale = (a.reshape(*flat, -1) for a in (mean, scale))
    found = mixture.GaussianMixture(logits, mean, scale)
    return found if len(shape) == 1 else distributions.Reshaped(found, shape)


def _dtype(context):
    """Return the precision of parameters: the context's, or the default."""
    return jnp.zeros(()).dtype if context is None else context.dtype
