"""Flows of couplings, where both directions cost one pass of the networks."""

import math
from dataclasses import replace
from typing import Any

from nfml_jax.bijectors import (
    LU,
    ActNorm,
    Additive,
    Affine,
    Autoregressive,
    Coupling,
    Elementwise,
    MixtureOfLogistics,
    OnCircles,
    Permutation,
    RationalQuadratic,
    Reverse,
)
from nfml_jax.bijectors.autoregressive import SOLVERS
from nfml_jax.flows.bases import Uniform
from nfml_jax.flows.flow import Flow
from nfml_jax.flows.recipes.stacked import passes_options_to, stacked
from nfml_jax.nets.conditioners import MLP, ResidualNet
from nfml_jax.nets.made import ResMADE
from nfml_jax.ops.checks import WIDEST, check_choice, check_flag, check_integer


@passes_options_to(stacked)
def nice(event_dim: int, *, layers: int = 4, hidden=(128, 128), **options) -> Flow:
    """Return a flow of additive couplings with one scaling (NICE, Dinh et al. 2015).

    >>> import jax
    >>> import jax.numpy as jnp
    >>> flow, x = nice(2, layers=2, hidden=(8,)), jnp.zeros((5, 2))
    >>> log_prob, _ = jax.eval_shape(flow.init_with_output, jax.random.key(0), x)
    >>> log_prob.shape
    (5,)
    """
    layer = [Coupling(Additive(), MLP(hidden=hidden)), Reverse()]
    ends = [Elementwise(Affine())]
    return stacked(event_dim, layer, layers=layers, ends=ends, **options)


@passes_options_to(stacked)
def realnvp(
    event_dim: int,
    *,
    layers: int = 8,
    hidden=(128, 128),
    max_log_scale: float = 5.0,
    normalize: bool = False,
    dropout: float = 0.0,
    **options,
) -> Flow:
    """Return a flow of affine couplings (RealNVP, Dinh et al. 2017).

    `normalize` puts an `ActNorm` before each.

    >>> import jax
    >>> import jax.numpy as jnp
    >>> flow, x = realnvp(2, layers=2, hidden=(8,)), jnp.zeros((5, 2))
    >>> log_prob, _ = jax.eval_shape(flow.init_with_output, jax.random.key(0), x)
    >>> log_prob.shape
    (5,)
    """
    net = MLP(hidden=hidden, dropout=dropout)
    layer = [Coupling(Affine(max_log_scale), net), Reverse()]
    check_flag("realnvp", normalize=normalize)
    if normalize:
        layer.insert(0, ActNorm())
    return stacked(event_dim, layer, layers=layers, **options)


@passes_options_to(stacked)
def rq_nsf(
    event_dim: int,
    *,
    layers: int = 10,
    hidden: int = 128,
    blocks: int = 2,
    bins: int = 8,
    bound: float = 3.0,
    kind: str = "coupling",
    linear: bool = True,
    scale_logits: bool = False,
    dropout: float = 0.0,
    solver: str = "gs_jacobi",
    **options,
) -> Flow:
    """Return a neural spline flow of rational-quadratic splines (Durkan et al. 2019).

    A layer is a random permutation, an LU map and the splines. A last permutation and
    LU map follow all layers.

    Args:
      event_dim: The number of coordinates of an event.
      layers: The number of layers.
      hidden: The width of the residual networks.
      blocks: Their number of blocks.
      bins: The number of bins of a spline.
      bound: Half the length of a spline's interval.
      kind: "coupling", with splines of the identity half too, or "autoregressive".
      linear: False leaves out the LU maps.
      scale_logits: True divides the logits of bins by √hidden, as in the paper's code
        (not in the paper).
      dropout: The dropout rate of the networks.
      solver: The solver of the slow direction of "autoregressive".
      **options: The options of all recipes.

    >>> import jax
    >>> import jax.numpy as jnp
    >>> flow, x = rq_nsf(2, layers=2, hidden=8, blocks=1), jnp.zeros((5, 2))
    >>> log_prob, _ = jax.eval_shape(flow.init_with_output, jax.random.key(0), x)
    >>> log_prob.shape
    (5,)
    """
    check_integer("rq_nsf", 1, WIDEST, hidden=hidden)
    check_choice("rq_nsf", ("coupling", "autoregressive"), kind=kind)
    check_choice("rq_nsf", SOLVERS, solver=solver)
    check_flag("rq_nsf", linear=linear, scale_logits=scale_logits)
    spline = RationalQuadratic(bins=bins, bound=bound)
    driven = replace(spline, temperature=math.sqrt(hidden) if scale_logits else 1.0)
    if kind == "coupling":
        net = ResidualNet(hidden=hidden, blocks=blocks, dropout=dropout)
        splines = Coupling(driven, net, identity=Elementwise(spline))
    else:
        made = ResMADE(hidden=hidden, blocks=blocks, dropout=dropout)
        splines = Autoregressive(driven, made, solver=solver)

    def mix():
        return [Permutation(), LU()] if linear else [Permutation()]

    return stacked(event_dim, [*mix(), splines], layers=layers, ends=mix(), **options)


@passes_options_to(stacked)
def flowpp(
    event_dim: int,
    *,
    layers: int = 8,
    hidden: int = 128,
    blocks: int = 2,
    components: int = 8,
    dropout: float = 0.0,
    **options,
) -> Flow:
    """Return a flow of couplings with mixtures of logistics (Flow++, Ho et al. 2019).

    It is the flow of vectors, without the paper's dequantization and attention.

    >>> import jax
    >>> import jax.numpy as jnp
    >>> flow, x = flowpp(2, layers=1, hidden=8, blocks=1), jnp.zeros((5, 2))
    >>> log_prob, _ = jax.eval_shape(flow.init_with_output, jax.random.key(0), x)
    >>> log_prob.shape
    (5,)
    """
    net = ResidualNet(hidden=hidden, blocks=blocks, dropout=dropout)
    layer = [ActNorm(), Coupling(MixtureOfLogistics(components), net), Reverse()]
    return stacked(event_dim, layer, layers=layers, **options)


@passes_options_to(stacked)
def circular_nsf(
    event_dim: int,
    *,
    layers: int = 8,
    hidden: int = 64,
    blocks: int = 2,
    bins: int = 8,
    **options: Any,
) -> Flow:
    """Return a flow on a torus, circular splines of angles (Rezende et al. 2020).

    Events are angles in [-π, π]. The base is uniform unless another one is given.

    >>> import jax
    >>> import jax.numpy as jnp
    >>> flow, x = circular_nsf(2, layers=1, hidden=8, blocks=1), jnp.zeros((5, 2))
    >>> log_prob, _ = jax.eval_shape(flow.init_with_output, jax.random.key(0), x)
    >>> log_prob.shape
    (5,)
    """
    spline = RationalQuadratic(bins=bins, bound=math.pi, tails="circular")
    net = OnCircles(ResidualNet(hidden=hidden, blocks=blocks))
    layer = [Coupling(spline, net, identity=Elementwise(spline)), Reverse()]
    options.setdefault("base", Uniform(event_dim, low=-math.pi, high=math.pi))
    return stacked(event_dim, layer, layers=layers, **options)
