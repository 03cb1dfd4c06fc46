"""Flows of couplings: both directions cost one pass of the networks."""

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
    """Additive couplings and one scaling at the end (Dinh et al. 2015)."""
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
    """Affine couplings (Dinh et al. 2017); `normalize` puts an ActNorm between them."""
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
    """Neural spline flow with rational-quadratic splines (Durkan et al. 2019).

    `kind` is "coupling", with splines on the identity half too, or "autoregressive",
    whose slow direction is solved by `solver`. A layer is a random permutation, an LU
    map (unless `linear` is off) and the splines; a last permutation and LU map end it.
    With `scale_logits` a network's logits of bins are divided by √hidden, as in the
    paper's code (not in the paper).
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
    """Couplings with mixtures of logistics (Ho et al. 2019), on vectors."""
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
    """Circular splines of angles in [-π, π] (Rezende et al. 2020): a flow on a torus.

    The base is uniform unless another one is given.
    """
    spline = RationalQuadratic(bins=bins, bound=math.pi, tails="circular")
    net = OnCircles(ResidualNet(hidden=hidden, blocks=blocks))
    layer = [Coupling(spline, net, identity=Elementwise(spline)), Reverse()]
    options.setdefault("base", Uniform(event_dim, -math.pi, math.pi))
    return stacked(event_dim, layer, layers=layers, **options)
