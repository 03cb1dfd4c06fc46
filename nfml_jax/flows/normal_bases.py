"""Normal base distributions: standard, learned, mixed, and one for each class."""

from typing import ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp

from nfml_jax.bijectors.amortized import amortized
from nfml_jax.bijectors.matrices import bounded
from nfml_jax.errors import UserError
from nfml_jax.flows.base import ZEROS, Base, dtype_of
from nfml_jax.ops.checks import WIDEST, check_integer, check_number

Array = jax.Array


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
            dtype_of(context),
            mean=(ZEROS, self.shape),
            log_scale=(ZEROS, self.shape),
        )
        scale = jnp.exp(bounded(given["log_scale"], 5.0))
        return self.independent(distrax.Normal(given["mean"], scale))


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
            dtype_of(context),
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


def _mixture(logits, mean, scale, shape):
    """Return the mixture by `logits [..., K]` of normals of `mean [..., K, *shape]`."""
    from nfml_jax.flows import distributions, mixture

    flat = mean.shape[: mean.ndim - len(shape)]
    mean, scale = (a.reshape(*flat, -1) for a in (mean, scale))
    found = mixture.GaussianMixture(logits, mean, scale)
    return found if len(shape) == 1 else distributions.Reshaped(found, shape)
