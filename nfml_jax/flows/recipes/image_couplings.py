"""Flows of images made of couplings, where both directions cost the same.

Further options of each are those of `nfml_jax.flows.recipes.multiscale.multiscale`.
"""

from collections.abc import Callable, Sequence

from nfml_jax.bijectors import (
    PLU,
    ActNorm,
    Additive,
    Affine,
    Bijector,
    Coupling,
    MixtureOfLogistics,
    RationalQuadratic,
    ScalarTransform,
)
from nfml_jax.bijectors.masks import halves, second_half
from nfml_jax.flows.recipes.multiscale import (
    MAX_LOG_SCALE,
    ImageFlow,
    multiscale,
    of_scale,
)
from nfml_jax.flows.recipes.stacked import passes_options_to
from nfml_jax.nets.images import known_options, make_image_conditioner
from nfml_jax.ops.checks import check_flag


def _step(transform: ScalarTransform, net: str, **options) -> Callable:
    """Return a maker of Glow's step with any transform and any network of images."""

    def step(level):
        network = make_image_conditioner(net, **options)
        coupling = Coupling(transform, network, event_ndim=3)
        return [ActNorm(event_ndim=3), PLU(event_ndim=3), coupling]

    return step


def pair(transform: ScalarTransform, net: str, **options) -> tuple[Bijector, ...]:
    """Return two couplings: each maps one half of the channels."""
    return tuple(
        Coupling(
            transform, make_image_conditioner(net, **options), mask=mask, event_ndim=3
        )
        for mask in (halves, second_half)
    )


@passes_options_to(multiscale)
def glow(
    event_shape,
    *,
    hidden: int = 64,
    additive: bool = False,
    max_log_scale: float = MAX_LOG_SCALE,
    **options,
) -> ImageFlow:
    """Glow (Kingma & Dhariwal 2018): ActNorm, a 1×1 convolution, a coupling, repeated.

    The coupling is affine, or with `additive` a shift alone; its network has three
    convolutions of `hidden` channels. `max_log_scale` bounds the log-scales of a
    coupling, see `MAX_LOG_SCALE`: with 5 in place of 2 a batch of Fashion-MNIST made
    training diverge within 40 steps. Further options are those of `multiscale`.

    >>> flow = glow((28, 28, 1), levels=2, steps=8, hidden=64)
    >>> flow.event_shape, flow.base_shape
    ((28, 28, 1), (28, 28, 1))
    """
    check_flag("glow", additive=additive)
    transform = Additive() if additive else Affine(max_log_scale)
    step = _step(transform, "glow", hidden=hidden)
    return multiscale(event_shape, step, **options)


@passes_options_to(multiscale)
def nice(event_shape, *, net: str = "glow", hidden: int = 64, **options) -> ImageFlow:
    """NICE (Dinh et al. 2015): pairs of additive couplings, and scales at the end.

    A step shifts one half of the channels, then the other, and preserves volume. `net`
    is a name of `nfml_jax.nets.images.IMAGE_CONDITIONERS`, `hidden` its width. Only
    learned priors scale, the last of which is the paper's one scaling.
    """

    def step(level):
        return pair(Additive(), net, hidden=hidden)

    return multiscale(event_shape, step, **options)


@passes_options_to(multiscale)
def realnvp(
    event_shape,
    *,
    hidden: int = 32,
    blocks: int = 2,
    max_log_scale: float = MAX_LOG_SCALE,
    **options,
) -> ImageFlow:
    """RealNVP (Dinh et al. 2017): pairs of affine couplings with residual networks.

    A step maps one half of the channels, then the other. After a squeeze in diagonal
    order the first scale's halves are the two colors of a checkerboard. `max_log_scale`
    bounds the log-scales of a coupling, see `MAX_LOG_SCALE`.
    """
    transform = Affine(max_log_scale)

    def step(level):
        both = pair(transform, "resnet", hidden=hidden, blocks=blocks)
        return [ActNorm(event_ndim=3), *both]

    return multiscale(event_shape, step, **options)


@passes_options_to(multiscale)
def rq_nsf(
    event_shape,
    *,
    hidden: int = 64,
    bins: int = 8,
    bound: float = 3.0,
    **options,
) -> ImageFlow:
    """Glow with rational-quadratic splines for its couplings (Durkan et al. 2019)."""
    transform = RationalQuadratic(bins=bins, bound=bound)
    step = _step(transform, "glow", hidden=hidden)
    return multiscale(event_shape, step, **options)


@passes_options_to(multiscale)
def flowpp(
    event_shape,
    *,
    net: str | Sequence[str] = "gated",
    hidden: int | Sequence[int] = 32,
    blocks: int | Sequence[int] = 2,
    components: int = 8,
    last_size: int = 3,
    max_log_scale: float = 5.0,
    levels: int = 2,
    **options,
) -> ImageFlow:
    """Flow++ (Ho et al. 2019): couplings by mixtures of logistics and gated networks.

    `net` is "gated", or "attention" for the paper's self-attention after every block;
    "glow" is a cheaper network for large images. `hidden` and `blocks` are its width
    and depth. Each is one value, or one for each scale. `last_size` is the side of the
    kernel of a gated network's last convolution, which has the most outputs by far.
    `max_log_scale` bounds the log-scales of the mixtures' components, which are narrow
    where pixels are black, and of the affine map after a mixture.
    """
    transform = MixtureOfLogistics(components, max_log_scale)

    def step(level):
        name = of_scale(net, level, levels, "net")
        sizes = {
            "hidden": of_scale(hidden, level, levels, "hidden"),
            "blocks": of_scale(blocks, level, levels, "blocks"),
            "last_size": last_size,
        }
        known = known_options(name)
        own = {option: value for option, value in sizes.items() if option in known}
        return _step(transform, name, **own)(level)

    return multiscale(event_shape, step, levels=levels, **options)
