"""Autoregressive flows: one pass in one direction, a pass a coordinate in the other."""

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
    """Masked autoregressive layers with any transform, the order reversed between.

    `activation` is one of `ACTIVATIONS`. `normalize` puts an ActNorm before each layer,
    or, if it is "batch", a batch norm after each, which learns from data to base.
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
    """Masked autoregressive flow (Papamakarios et al. 2017): density in one pass."""
    transform = Affine(max_log_scale)
    return autoregressive(event_dim, transform, layers=layers, **options)


@passes_options_to(maf)
def iaf(event_dim: int, *, layers: int = 5, max_log_scale=5.0, **options) -> Flow:
    """Inverse autoregressive flow (Kingma et al. 2016): a sample in one pass."""
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
    """Neural autoregressive flow with deep sigmoids (Huang et al. 2018).

    `units` sigmoids in each of `depth` layers of the scalar network.
    """
    transform = DeepSigmoid(units, depth, max_log_scale)
    return autoregressive(event_dim, transform, layers=layers, **options)


@passes_options_to(autoregressive)
def umnn(
    event_dim: int, *, layers: int = 2, units: int = 8, nodes: int = 33, **options
) -> Flow:
    """Unconstrained monotone networks (Wehenkel & Louppe 2019), `nodes` to integrate.

    The integrand has one hidden layer of `units`.
    """
    transform = MonotoneNetwork(units, nodes)
    return autoregressive(event_dim, transform, layers=layers, **options)


@passes_options_to(autoregressive)
def sos(
    event_dim: int, *, layers: int = 3, squares: int = 3, degree: int = 4, **options
) -> Flow:
    """Sum-of-squares polynomial flow (Jaini et al. 2019)."""
    transform = SumOfSquares(squares, degree)
    return autoregressive(event_dim, transform, layers=layers, **options)


@passes_options_to(autoregressive)
def bernstein(
    event_dim: int, *, layers: int = 3, degree: int = 24, bound: float = 3.0, **options
) -> Flow:
    """Bernstein polynomial flow (Ramasinghe et al. 2021)."""
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
    """Block neural autoregressive flow (De Cao et al. 2019).

    `hidden` units for each coordinate in each of `depth` hidden layers.
    """
    layer = [BlockAutoregressive(hidden, depth, residual), Reverse()]
    return stacked(event_dim, layer, layers=layers, **options)
