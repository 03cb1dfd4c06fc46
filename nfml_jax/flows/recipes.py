"""Named flows: the architectures of the papers, every option within reach.

All take `event_dim`, and by keyword: `context_dim` for a conditional density; `base`, a
module of `nfml_jax.flows.bases` (default: standard normal); `layers`; `remat`, to
compute activations anew in the backward pass; and `fast`, the direction that evaluates
the layers as they are written: "log_prob" for learning densities, "sample" for
variational inference. The other direction inverts them, which costs more (splines),
much more (autoregressive maps) or needs iterations (monotone networks, residual maps).
"""

import inspect
import math
from collections.abc import Sequence

import flax.linen as nn

from nfml_jax.bijectors import (
    LU,
    ActNorm,
    Additive,
    Affine,
    Autoregressive,
    Bernstein,
    Bijector,
    BlockAutoregressive,
    Chain,
    Continuous,
    Coupling,
    DeepSigmoid,
    Elementwise,
    Householder,
    Inverse,
    MixtureOfGaussians,
    MixtureOfLogistics,
    MonotoneNetwork,
    OnCircles,
    Permutation,
    Planar,
    RationalQuadratic,
    Residual,
    Reverse,
    ScalarTransform,
    Stack,
    SumOfSquares,
    Sylvester,
)
from nfml_jax.errors import UserError
from nfml_jax.flows.bases import Normal, Uniform
from nfml_jax.flows.flow import Flow
from nfml_jax.names import look_up
from nfml_jax.nets.conditioners import MLP, ResidualNet
from nfml_jax.nets.lipschitz import LipschitzMLP
from nfml_jax.nets.made import MADE, ResMADE


def passes_options_to(function):
    """Note where a recipe's further options go, so that all of them can be listed."""

    def note(recipe):
        recipe.passes_to = function
        return recipe

    return note


def stacked(
    event_dim: int,
    layer: Sequence[Bijector],
    *,
    layers: int,
    ends: Sequence[Bijector] = (),
    fast: str = "log_prob",
    context_dim: int = 0,
    base: nn.Module | None = None,
    remat: bool = False,
) -> Flow:
    """A flow of `layers` equal layers, followed by `ends`.

    In the `fast` direction the layers come in the order they are written here.
    """
    if event_dim < 1:
        raise UserError(
            f"event_dim = {event_dim}; a density needs at least one number."
        )
    if fast not in ("log_prob", "sample"):
        raise UserError(f"fast = {fast!r} is not known; choose 'log_prob' or 'sample'.")
    bijector = Chain([Stack(Chain(list(layer)), layers, remat), *ends])
    return Flow(
        bijector=bijector if fast == "sample" else Inverse(bijector),
        base=Normal(event_dim) if base is None else base,
        event_dim=event_dim,
        context_dim=context_dim,
    )


@passes_options_to(stacked)
def independent(
    event_dim: int, *, layers: int = 1, bins: int = 8, bound: float = 3.0, **options
) -> Flow:
    """A rational-quadratic spline of each coordinate: marginals without a joint."""
    layer = [Elementwise(RationalQuadratic(bins, bound), _amortised(options))]
    return stacked(event_dim, layer, layers=layers, **options)


@passes_options_to(stacked)
def nice(event_dim: int, *, layers: int = 4, hidden=(128, 128), **options) -> Flow:
    """Additive couplings and one scaling at the end (Dinh et al. 2015)."""
    layer = [Coupling(Additive(), MLP(hidden=tuple(hidden))), Reverse()]
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
    net = MLP(hidden=tuple(hidden), dropout=dropout)
    layer = [Coupling(Affine(max_log_scale), net), Reverse()]
    if normalize:
        layer.insert(0, ActNorm())
    return stacked(event_dim, layer, layers=layers, **options)


@passes_options_to(stacked)
def autoregressive(
    event_dim: int,
    transform: ScalarTransform,
    *,
    layers: int,
    hidden=(128, 128),
    normalize: bool = False,
    dropout: float = 0.0,
    solver: str = "gs_jacobi",
    **options,
) -> Flow:
    """Masked autoregressive layers with any transform, the order reversed between."""
    made = MADE(hidden=tuple(hidden), dropout=dropout)
    layer = [Autoregressive(transform, made, solver=solver), Reverse()]
    if normalize:
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
    options = {"fast": "sample"} | options
    return maf(event_dim, layers=layers, max_log_scale=max_log_scale, **options)


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
    dropout: float = 0.0,
    solver: str = "gs_jacobi",
    **options,
) -> Flow:
    """Neural spline flow with rational-quadratic splines (Durkan et al. 2019).

    `kind` is "coupling", with splines on the identity half too, or "autoregressive",
    whose slow direction is solved by `solver`. A layer is a random permutation, an LU
    map (unless `linear` is off) and the splines; a last permutation and LU map end it.
    """
    spline = RationalQuadratic(bins=bins, bound=bound)
    if kind == "coupling":
        net = ResidualNet(hidden=hidden, blocks=blocks, dropout=dropout)
        splines = Coupling(spline, net, identity=Elementwise(spline))
    elif kind == "autoregressive":
        made = ResMADE(hidden=hidden, blocks=blocks, dropout=dropout)
        splines = Autoregressive(spline, made, solver=solver)
    else:
        raise UserError(
            f"kind = {kind!r} is not known; choose 'coupling' or 'autoregressive'."
        )

    def mix():
        return [Permutation(), LU()] if linear else [Permutation()]

    return stacked(event_dim, [*mix(), splines], layers=layers, ends=mix(), **options)


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
    event_dim: int, *, layers: int = 3, degree: int = 16, bound: float = 5.0, **options
) -> Flow:
    """Bernstein polynomial flow (Ramasinghe et al. 2021)."""
    transform = Bernstein(degree, bound)
    return autoregressive(event_dim, transform, layers=layers, **options)


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
        Elementwise(MixtureOfGaussians(components), _amortised(options)),
        Householder(reflections, _amortised(options)),
    ]
    return stacked(event_dim, layer, layers=layers, **options)


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


@passes_options_to(stacked)
def residual(
    event_dim: int, *, layers: int = 8, hidden=(64, 64), normalize=True, **options
) -> Flow:
    """Residual flow (Chen et al. 2019): x + g(x), g a contraction."""
    layer = [Residual(LipschitzMLP(hidden=tuple(hidden)))]
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
    **options,
) -> Flow:
    """Continuous flow (Grathwohl et al. 2019), for its loss or for flow matching."""
    net = MLP(hidden=tuple(hidden), activation=nn.softplus)
    layer = [Continuous(net, rtol=rtol, atol=atol)]
    return stacked(event_dim, layer, layers=layers, **options)


@passes_options_to(stacked)
def circular_nsf(
    event_dim: int,
    *,
    layers: int = 8,
    hidden: int = 64,
    blocks: int = 2,
    bins: int = 8,
    **options,
) -> Flow:
    """Circular splines of angles in [-π, π] (Rezende et al. 2020): a flow on a torus.

    The base is uniform unless another one is given.
    """
    spline = RationalQuadratic(bins=bins, bound=math.pi, tails="circular")
    net = OnCircles(ResidualNet(hidden=hidden, blocks=blocks))
    layer = [Coupling(spline, net, identity=Elementwise(spline)), Reverse()]
    options = {"base": Uniform(event_dim, -math.pi, math.pi)} | options
    return stacked(event_dim, layer, layers=layers, **options)


@passes_options_to(stacked)
def planar(event_dim: int, *, layers: int = 16, **options) -> Flow:
    """Planar maps (Rezende & Mohamed 2015), for variational inference."""
    options = {"fast": "sample"} | options
    layer = [Planar(_amortised(options))]
    return stacked(event_dim, layer, layers=layers, **options)


@passes_options_to(stacked)
def sylvester(
    event_dim: int,
    *,
    layers: int = 4,
    basis: str = "householder",
    rank: int | None = None,
    **options,
) -> Flow:
    """Sylvester maps (van den Berg et al. 2018), for variational inference.

    `basis` is "orthogonal", "householder" or "triangular"; `rank` defaults to the
    event's size.
    """
    options = {"fast": "sample"} | options
    layer = [Sylvester(basis, rank, conditioner=_amortised(options))]
    return stacked(event_dim, layer, layers=layers, **options)


def _amortised(options):
    """The network that makes parameters from a context, if there is one."""
    return MLP() if options.get("context_dim", 0) else None


RECIPES = {
    "independent": independent,
    "nice": nice,
    "realnvp": realnvp,
    "maf": maf,
    "iaf": iaf,
    "rq_nsf": rq_nsf,
    "naf": naf,
    "umnn": umnn,
    "sos": sos,
    "bernstein": bernstein,
    "flowpp": flowpp,
    "gaussianization": gaussianization,
    "bnaf": bnaf,
    "residual": residual,
    "ffjord": ffjord,
    "circular_nsf": circular_nsf,
    "planar": planar,
    "sylvester": sylvester,
}


def make_flow(recipe: str, event_dim: int, **options) -> Flow:
    """The flow of a config's "flow" section; unknown options get a sentence."""
    function = look_up(RECIPES, recipe, "recipe")
    known = dict.fromkeys(option_names(function))
    for option in options:
        look_up(known, option, f"option of recipe {recipe!r}:")
    return function(event_dim, **options)


def option_names(recipe) -> list[str]:
    """The names of all options a recipe takes, those it passes on among them."""
    parameters = inspect.signature(recipe).parameters.values()
    names = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]
    further = getattr(recipe, "passes_to", None)
    return names + (option_names(further) if further else [])


__all__ = ["RECIPES", "make_flow", "option_names", *RECIPES]
