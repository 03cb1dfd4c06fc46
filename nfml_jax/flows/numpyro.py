"""A flow as a numpyro distribution: a prior, a guide's site, or an observed density."""

from nfml_jax.errors import UserError
from nfml_jax.flows.flow import Flow


def as_numpyro(flow: Flow, context=None):
    """Return a bound flow with a context as a `numpyro.distributions.Distribution`.

    Events are vectors `[event_dim]`, and the batch is that of the context. In a numpyro
    model: `x = numpyro.sample("x", as_numpyro(flow.bind(variables)))`.

    The support is that of the flow: all vectors, a box of angles, the unit sphere, or
    the image of the base under the bijector. The bijector then maps unconstrained
    numbers to the support, so that samplers such as NUTS never leave it.

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
    try:
        from nfml_jax.flows.numpyro_distribution import NumpyroFlow
    except ImportError:
        raise UserError(
            "as_numpyro needs numpyro, which is not installed; run "
            "`pip install numpyro`."
        ) from None
    return NumpyroFlow(flow, context)
