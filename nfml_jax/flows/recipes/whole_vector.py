"""Flows whose layers transform single coordinates, or all of them at once."""

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
    """Return a flow of one rational-quadratic spline for each coordinate.

    Its coordinates are independent.

    >>> import jax
    >>> import jax.numpy as jnp
    >>> flow, x = independent(2, bins=4), jnp.zeros((5, 2))
    >>> log_prob, _ = jax.eval_shape(flow.init_with_output, jax.random.key(0), x)
    >>> log_prob.shape
    (5,)
    """
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
    """Return a Gaussianization flow (Meng et al. 2020).

    A layer is the CDF of a mixture of `components` Gaussians for each coordinate, and a
    rotation, a product of `reflections` (by default as many as coordinates). With a
    context both depend on it through small networks.

    >>> import jax
    >>> import jax.numpy as jnp
    >>> flow, x = gaussianization(2, layers=1, components=4), jnp.zeros((5, 2))
    >>> log_prob, _ = jax.eval_shape(flow.init_with_output, jax.random.key(0), x)
    >>> log_prob.shape
    (5,)
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
    """Return a residual flow, x + g(x) with g a contraction (Chen et al. 2019).

    `normalize` puts an `ActNorm` before each block.

    >>> import jax
    >>> import jax.numpy as jnp
    >>> flow, x = residual(2, layers=1, hidden=(8,)), jnp.zeros((5, 2))
    >>> log_prob, _ = jax.eval_shape(flow.init_with_output, jax.random.key(0), x)
    >>> log_prob.shape
    (5,)
    """
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
    """Return a continuous flow (FFJORD, Grathwohl et al. 2019).

    It can be trained by its likelihood or by flow matching. Both directions cost the
    same. Flow matching needs one layer and `fast="sample"`. `rtol`, `atol` and
    `adjoint` are those of `Continuous`; the default of `adjoint` is the paper's.

    >>> flow = ffjord(2, hidden=(8,))
    >>> flow.bijector.bijectors[0].bijectors[0].adjoint
    'backsolve'
    """
    options.setdefault("fast", "sample")
    net = MLP(hidden=hidden, activation=nn.softplus)
    layer = [Continuous(net, rtol=rtol, atol=atol, adjoint=adjoint)]
    return stacked(event_dim, layer, layers=layers, **options)


@passes_options_to(stacked)
def planar(event_dim: int, *, layers: int = 16, **options: Any) -> Flow:
    """Return a flow of planar maps for variational inference (Rezende & Mohamed 2015).

    >>> planar(2, layers=4).bijector.bijectors[0].length
    4
    """
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
    """Return a flow of Sylvester maps for variational inference.

    The source is van den Berg et al. 2018. `basis` and `rank` are those of `Sylvester`.

    >>> sylvester(2, layers=4, rank=1).bijector.bijectors[0].length
    4
    """
    options.setdefault("fast", "sample")
    layer = [Sylvester(basis, rank, conditioner=amortized_by(options))]
    return stacked(event_dim, layer, layers=layers, **options)
