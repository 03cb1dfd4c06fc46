"""A flow as a numpyro distribution: a prior, a guide's site, or an observed density."""

import functools

from nfml_jax.errors import UserError
from nfml_jax.flows.flow import Flow


def as_numpyro(flow: Flow, context=None):
    """Return a bound flow with a context as a `numpyro.distributions.Distribution`.

    Events are real vectors `[event_dim]`, and the batch is that of the context. In a
    numpyro model: `x = numpyro.sample("x", as_numpyro(flow.bind(variables)))`.

    Raises:
      UserError: numpyro, an optional dependency, is not installed.

    >>> import jax
    >>> import jax.numpy as jnp
    >>> from nfml_jax import flows
    >>> flow = flows.realnvp(event_dim=2, layers=1, hidden=(8,))
    >>> variables = flow.init(jax.random.key(0), jnp.zeros((5, 2)))
    >>> as_numpyro(flow.bind(variables)).event_shape
    (2,)
    """
    return _numpyro_flow()(flow, context)


@functools.cache
def _numpyro_flow():
    """Return the distribution's class, which is made at the first call."""
    try:
        from numpyro.distributions import Distribution, constraints
    except ImportError:
        raise UserError(
            "as_numpyro needs numpyro, which is not installed; run "
            "`pip install numpyro`."
        ) from None

    class NumpyroFlow(Distribution):
        # numpyro's distributions override its property and its list in this way.
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

    return NumpyroFlow
