"""Autoregressive flows: one pass in one direction, one per coordinate in the other."""

import flax.linen as nn

from nfml_jax.bijectors import (
    ActNorm,
    Affine,
    Autoregressive,
    BatchNormalization,
    Bernstein,
    Bijector,
    BlockAutoregressive,
    DeepSigmoid,
    Inverse,
    MonotoneNetwork,
    Reverse,
    ScalarTransform,
    SumOfSquares,
)
from nfml_jax.flows.flow import Flow
from nfml_jax.flows.recipes.stacked import passes_options_to, stacked
from nfml_jax.nets.made import MADE
from nfml_jax.ops.checks import check_choice
from nfml_jax.ops.names import look_up

ACTIVATIONS = {"relu": nn.relu, "tanh": nn.tanh}


@passes_options_to(stacked)
def autoregressive(
    event_dim: int,
    transform: ScalarTransform,
    *,
    layers: int,
    hidden=(128, 128),
    activation: str = "relu",
    normalize: bool | str = False,
    dropout: float = 0.0,
    solver: str = "gs_jacobi",
    **options,
) -> Flow:
    """Return a flow of masked autoregressive layers with reversed orders between them.

    Args:
      event_dim: The number of coordinates of an event.
      transform: The scalar transform of each coordinate.
      layers: The number of layers.
      hidden: The widths of the hidden layers of `MADE`.
      activation: A name of `ACTIVATIONS`.
      normalize: True puts an `ActNorm` before each layer, "batch" a batch normalization
        after each, which learns from data to base.
      dropout: The dropout rate of `MADE`.
      solver: The solver of the slow direction; see `Autoregressive`.
      **options: The options of all recipes.
    """
    function = look_up(ACTIVATIONS, activation, "activation")
    made = MADE(hidden=hidden, activation=function, dropout=dropout)
    layer: list[Bijector] = [Autoregressive(transform, made, solver=solver), Reverse()]
    check_choice("the flow", (False, True, "batch"), normalize=normalize)
    if normalize == "batch":
        to_base = options.get("fast", "log_prob") == "log_prob"
        layer.insert(
            1, Inverse(BatchNormalization()) if to_base else BatchNormalization()
        )
    elif normalize:
        layer.insert(0, ActNorm())
    return stacked(event_dim, layer, layers=layers, **options)


@passes_options_to(autoregressive)
def maf(event_dim: int, *, layers: int = 5, max_log_scale=5.0, **options) -> Flow:
    """Return a masked autoregressive flow (MAF, Papamakarios et al. 2017).

    Its density takes one pass.

    >>> import jax
    >>> import jax.numpy as jnp
    >>> flow, x = maf(2, layers=2, hidden=(8,)), jnp.zeros((5, 2))
    >>> log_prob, _ = jax.eval_shape(flow.init_with_output, jax.random.key(0), x)
    >>> log_prob.shape
    (5,)
    """
    transform = Affine(max_log_scale)
    return autoregressive(event_dim, transform, layers=layers, **options)


@passes_options_to(maf)
def iaf(event_dim: int, *, layers: int = 5, max_log_scale=5.0, **options) -> Flow:
    """Return an inverse autoregressive flow (IAF, Kingma et al. 2016).

    A sample takes one pass.

    >>> import jax
    >>> import jax.numpy as jnp
    >>> flow, x = iaf(2, layers=2, hidden=(8,)), jnp.zeros((5, 2))
    >>> log_prob, _ = jax.eval_shape(flow.init_with_output, jax.random.key(0), x)
    >>> log_prob.shape
    (5,)
    """
    options.setdefault("fast", "sample")
    return maf(event_dim, layers=layers, max_log_scale=max_log_scale, **options)


@passes_options_to(autoregressive)
def naf(
    event_dim: int,
    *,
    layers: int = 2,
    units: int = 8,
    depth: int = 1,
    max_log_scale: float = 5.0,
    **options,
) -> Flow:
    """Return a neural autoregressive flow with deep sigmoids (Huang et al. 2018).

    The scalar network has `depth` layers of `units` sigmoids.

    >>> import jax
    >>> import jax.numpy as jnp
    >>> flow, x = naf(2, layers=1, units=4, hidden=(8,)), jnp.zeros((5, 2))
    >>> log_prob, _ = jax.eval_shape(flow.init_with_output, jax.random.key(0), x)
    >>> log_prob.shape
    (5,)
    """
    transform = DeepSigmoid(units, depth, max_log_scale)
    return autoregressive(event_dim, transform, layers=layers, **options)


@passes_options_to(autoregressive)
def umnn(
    event_dim: int, *, layers: int = 2, units: int = 8, nodes: int = 33, **options
) -> Flow:
    """Return a flow of unconstrained monotone networks (Wehenkel & Louppe 2019).

    The integrand has one hidden layer of `units`. The quadrature has `nodes` nodes.

    >>> import jax
    >>> import jax.numpy as jnp
    >>> flow, x = umnn(2, layers=1, units=4, hidden=(8,)), jnp.zeros((5, 2))
    >>> log_prob, _ = jax.eval_shape(flow.init_with_output, jax.random.key(0), x)
    >>> log_prob.shape
    (5,)
    """
    transform = MonotoneNetwork(units, nodes)
    return autoregressive(event_dim, transform, layers=layers, **options)


@passes_options_to(autoregressive)
def sos(
    event_dim: int, *, layers: int = 3, squares: int = 3, degree: int = 4, **options
) -> Flow:
    """Return a sum-of-squares polynomial flow (Jaini et al. 2019).

    Each coordinate's polynomial integrates `squares` squares of degree `degree`.

    >>> import jax
    >>> import jax.numpy as jnp
    >>> flow, x = sos(2, layers=1, hidden=(8,)), jnp.zeros((5, 2))
    >>> log_prob, _ = jax.eval_shape(flow.init_with_output, jax.random.key(0), x)
    >>> log_prob.shape
    (5,)
    """
    transform = SumOfSquares(squares, degree)
    return autoregressive(event_dim, transform, layers=layers, **options)


@passes_options_to(autoregressive)
def bernstein(
    event_dim: int, *, layers: int = 3, degree: int = 24, bound: float = 3.0, **options
) -> Flow:
    """Return a Bernstein polynomial flow (Ramasinghe et al. 2021).

    The polynomials have `degree`, on [-bound, bound].

    >>> import jax
    >>> import jax.numpy as jnp
    >>> flow, x = bernstein(2, layers=1, hidden=(8,)), jnp.zeros((5, 2))
    >>> log_prob, _ = jax.eval_shape(flow.init_with_output, jax.random.key(0), x)
    >>> log_prob.shape
    (5,)
    """
    transform = Bernstein(degree, bound)
    return autoregressive(event_dim, transform, layers=layers, **options)


@passes_options_to(stacked)
def bnaf(
    event_dim: int,
    *,
    layers: int = 2,
    hidden: int = 8,
    depth: int = 1,
    residual: str = "gated",
    **options,
) -> Flow:
    """Return a block neural autoregressive flow (De Cao et al. 2019).

    It has `hidden` units for each coordinate in each of `depth` hidden layers.

    >>> flow = bnaf(2, layers=1, hidden=4, fast="sample")
    >>> flow.bijector.bijectors[0].bijectors[0].residual
    'gated'
    """
    layer = [BlockAutoregressive(hidden, depth, residual), Reverse()]
    return stacked(event_dim, layer, layers=layers, **options)
