"""Flows whose layers act on each coordinate alone, or on all of them at once."""

from typing import Any

import flax.linen as nn

from nfml_jax.bijectors import (
    ActNorm,
    Bijector,
    Continuous,
    Elementwise,
    Householder,
    MixtureOfGaussians,
    Planar,
    RationalQuadratic,
    Residual,
    Sylvester,
)
from nfml_jax.flows.flow import Flow
from nfml_jax.flows.recipes.stacked import amortized_by, passes_options_to, stacked
from nfml_jax.nets.conditioners import MLP
from nfml_jax.nets.lipschitz import LipschitzMLP
from nfml_jax.ops.checks import check_flag


@passes_options_to(stacked)
def independent(
    event_dim: int, *, layers: int = 1, bins: int = 8, bound: float = 3.0, **options
) -> Flow:
    """A rational-quadratic spline of each coordinate: marginals without a joint."""
    layer = [Elementwise(RationalQuadratic(bins, bound), amortized_by(options))]
    return stacked(event_dim, layer, layers=layers, **options)


@passes_options_to(stacked)
def gaussianization(
    event_dim: int,
    *,
    layers: int = 8,
    components: int = 8,
    reflections: int | None = None,
    **options,
) -> Flow:
    """Gaussianization flow (Meng et al. 2020): marginals, then a rotation.

    Each coordinate goes through a mixture of Gaussians' CDF; the rotation is a product
    of `reflections` (default: as many as coordinates). With a context both depend on
    it through small networks.
    """
    layer = [
        Elementwise(MixtureOfGaussians(components), amortized_by(options)),
        Householder(reflections, amortized_by(options)),
    ]
    return stacked(event_dim, layer, layers=layers, **options)


@passes_options_to(stacked)
def residual(
    event_dim: int, *, layers: int = 8, hidden=(64, 64), normalize=True, **options
) -> Flow:
    """Residual flow (Chen et al. 2019): x + g(x), g a contraction."""
    check_flag("residual", normalize=normalize)
    layer: list[Bijector] = [Residual(LipschitzMLP(hidden=hidden))]
    if normalize:
        layer.insert(0, ActNorm())
    return stacked(event_dim, layer, layers=layers, **options)


@passes_options_to(stacked)
def ffjord(
    event_dim: int,
    *,
    layers: int = 1,
    hidden=(64, 64),
    rtol: float = 1e-5,
    atol: float = 1e-5,
    adjoint: str = "backsolve",
    **options: Any,
) -> Flow:
    """Continuous flow (Grathwohl et al. 2019), for its likelihood or flow matching.

    Both directions cost the same; matching takes one layer and `fast="sample"`.
    `adjoint` is that of `Continuous`, by default the paper's.
    """
    options.setdefault("fast", "sample")
    net = MLP(hidden=hidden, activation=nn.softplus)
    layer = [Continuous(net, rtol=rtol, atol=atol, adjoint=adjoint)]
    return stacked(event_dim, layer, layers=layers, **options)


@passes_options_to(stacked)
def planar(event_dim: int, *, layers: int = 16, **options: Any) -> Flow:
    """Planar maps (Rezende & Mohamed 2015), for variational inference."""
    options.setdefault("fast", "sample")
    layer = [Planar(amortized_by(options))]
    return stacked(event_dim, layer, layers=layers, **options)


@passes_options_to(stacked)
def sylvester(
    event_dim: int,
    *,
    layers: int = 4,
    basis: str = "householder",
    rank: int | None = None,
    **options: Any,
) -> Flow:
    """Sylvester maps (van den Berg et al. 2018), for variational inference.

    `basis` is "orthogonal", "householder" or "triangular"; `rank` defaults to the
    event's size.
    """
    options.setdefault("fast", "sample")
    layer = [Sylvester(basis, rank, conditioner=amortized_by(options))]
    return stacked(event_dim, layer, layers=layers, **options)
