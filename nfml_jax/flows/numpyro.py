"""A flow as a numpyro distribution: a prior, a guide's site, or an observed density."""

import functools

from nfml_jax.errors import UserError
from nfml_jax.flows.flow import Flow


def as_numpyro(flow: Flow, context=None):
    """The bound `flow`, given its context, as a `numpyro.distributions.Distribution`.

    Events are real vectors `[event_dim]`, and the batch is that of the context. numpyro
    is an optional dependency; without it, UserError.

        x = numpyro.sample("x", as_numpyro(flow.bind(variables)))
    """
    return _flow_distribution()(flow, context)


@functools.cache
def _flow_distribution():
    """The class, made when it is first asked for."""
    try:
        from numpyro.distributions import Distribution, constraints
    except ImportError:
        raise UserError(
            "numpyro is not installed here, which as_numpyro needs; "
            "run `pip install numpyro`."
        ) from None

    class FlowDistribution(Distribution):
        # numpyro's own distributions override its property and its list so, too.
        support = constraints.real_vector  # pyright: ignore[reportAssignmentType]
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

    return FlowDistribution
