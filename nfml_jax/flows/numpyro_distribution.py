"""The distribution of numpyro that `nfml_jax.flows.numpyro.as_numpyro` returns."""

import dataclasses
from collections.abc import Iterator

import jax.numpy as jnp
from numpyro.distributions import Distribution, constraints, transforms

from nfml_jax.bijectors import ScalarTransform
from nfml_jax.bijectors.transforms.transform import LINE, Interval


def box(interval: Interval):
    """Return the constraint of vectors whose coordinates lie in an interval."""
    if interval == LINE:
        return constraints.real_vector
    return constraints.independent(constraints.interval(*interval), 1)


class Image(constraints.Constraint):
    """The events that have a density: the image of the base's box."""

    event_dim = 1

    def __init__(self, flow, interval):
        self.flow, self.interval = flow, interval

    def __call__(self, x):
        return self.flow.log_prob(x) > -jnp.inf

    def __repr__(self):
        return f"image of {box(self.interval)!r} under a flow"

    def feasible_like(self, prototype):
        return transforms.biject_to(self)(jnp.zeros_like(prototype))

    def tree_flatten(self):
        return (self.flow,), (("flow",), {"interval": self.interval})


class FromBase(transforms.Transform):
    """The flow's bijector, from the base's box to its image."""

    def __init__(self, flow, interval):
        self.flow, self.interval = flow, interval

    @property
    def domain(self):
        return box(self.interval)

    @property
    def codomain(self):
        return Image(self.flow, self.interval)

    def __call__(self, x):
        return self.flow.from_base(x)[0]

    def call_with_intermediates(self, x):
        return self.flow.from_base(x)

    def _inverse(self, y):
        return self.flow.to_base(y)[0]

    def log_abs_det_jacobian(self, x, y, intermediates=None):
        return self.flow.from_base(x)[1] if intermediates is None else intermediates

    def tree_flatten(self):
        return (self.flow,), (("flow",), {"interval": self.interval})


@transforms.biject_to.register(Image)
def _from_base(image: Image):
    bijector = FromBase(image.flow, image.interval)
    if image.interval == LINE:
        return bijector
    start = transforms.biject_to(bijector.domain)
    return transforms.ComposeTransform([start, bijector])


class NumpyroFlow(Distribution):
    """A bound flow with a context, as a distribution of numpyro."""

    # numpyro's distributions override its list in this way.
    reparametrized_params = ()  # pyright: ignore[reportAssignmentType]

    def __init__(self, flow, context=None):
        self._flow = flow.distribution(context)
        super().__init__(self._flow.batch_shape, self._flow.event_shape)

    # The pytree of the distrax distribution; vmap changes the shape of its batch.
    def tree_flatten(self):
        return (self._flow,), self._validate_args

    @classmethod
    def tree_unflatten(cls, validate_args, leaves):
        new = cls.__new__(cls)
        (new._flow,), new._validate_args = leaves, validate_args
        return new

    # numpyro's types have room for the defaults alone.
    @constraints.dependent_property(
        is_discrete=False,  # pyright: ignore[reportArgumentType]
        event_dim=1,  # pyright: ignore[reportArgumentType]
    )
    def support(self):
        flow = self._flow.flow
        if flow.base.on_sphere:
            return constraints.sphere
        interval = flow.base.interval
        bounded = [t for t in _transforms(flow.bijector) if t.codomain != LINE]
        circles = bool(bounded) and all(t.codomain == interval for t in bounded)
        if flow.bijector.covers_line and (circles or interval == LINE):
            return box(interval)
        return Image(self._flow, interval)

    @property
    def batch_shape(self):
        return self._flow.batch_shape

    @property
    def event_shape(self):
        return self._flow.event_shape

    def sample(self, key, sample_shape=()):
        return self._flow.sample(seed=key, sample_shape=sample_shape)

    def log_prob(self, value):
        return self._flow.log_prob(value)


def _transforms(part) -> Iterator[ScalarTransform]:
    """Yield the scalar transforms that a bijector is made of."""
    if isinstance(part, ScalarTransform):
        yield part
    elif isinstance(part, tuple):
        for one in part:
            yield from _transforms(one)
    elif dataclasses.is_dataclass(part):
        for field in dataclasses.fields(part):
            if field.name not in ("parent", "name"):
                yield from _transforms(getattr(part, field.name, None))
