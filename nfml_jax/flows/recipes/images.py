"""Flows of images `[..., H, W, C]` of several scales, with pixels in (0, 1).

Every scale squeezes blocks of 2 × 2 pixels into channels, applies `steps` equal steps
in one loop, and hands half of the channels to the next scale (Dinh et al. 2017, section
3.6). The other half is left as latents: standard normal by itself (`prior="normal"`),
or after a learned affine map given the half that went on (`prior="learned"`, Kingma &
Dhariwal 2018). Latents are one array in the shape of the image.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import flax.linen as nn

from nfml_jax.bijectors import (
    PLU,
    ActNorm,
    Additive,
    Affine,
    Bijector,
    Chain,
    Conjugate,
    Coupling,
    Dequantize,
    Elementwise,
    Inverse,
    MixtureOfLogistics,
    Partial,
    PixelSigmoid,
    RationalQuadratic,
    ScalarTransform,
    Squeeze,
    Stack,
)
from nfml_jax.bijectors.masks import halves, second_half
from nfml_jax.bijectors.squeeze import ORDERS
from nfml_jax.bijectors.stack import MEMORY
from nfml_jax.errors import UserError
from nfml_jax.flows.bases import Normal
from nfml_jax.flows.flow import Flow
from nfml_jax.flows.quantized import Quantized
from nfml_jax.flows.recipes.stacked import option_names, passes_options_to
from nfml_jax.flows.recipes.uva import masked_couplings, uva
from nfml_jax.nets.images import GlowNet, known_options, make_image_conditioner
from nfml_jax.ops.checks import DEEPEST, check_choice, check_flag, check_integer
from nfml_jax.ops.names import look_up

PRIORS = ("learned", "normal")


def multiscale(
    event_shape: tuple[int, int, int],
    step: Callable[[int], Sequence[Bijector]],
    *,
    levels: int = 2,
    steps: int | Sequence[int] = 8,
    prior: str = "learned",
    prior_hidden: int = 64,
    order: str = "diagonal",
    alpha: float = 1e-5,
    memory: str = "keep",
    context_dim: int = 0,
    base: nn.Module | None = None,
) -> Flow:
    """Return a flow of images that repeats `step` on every scale.

    Args:
      event_shape: `(H, W, C)`; 2^levels divides H and W.
      step: A function of a scale's number, from 1, that returns the bijectors of its
        step, new ones at each call, in the order from the data to the base.
      levels: The number of scales.
      steps: The number of steps of every scale, or a number for each.
      prior: "learned" or "normal", the latents that a scale leaves.
      prior_hidden: The width of the networks of learned priors.
      order: The order of a squeeze's channels, see `nfml_jax.bijectors.Squeeze`.
      alpha: The α of `nfml_jax.bijectors.PixelSigmoid`.
      memory: What is stored for the gradient, see `nfml_jax.bijectors.Stack`.
      context_dim: The size of a context, 0 for none.
      base: The base of latents `event_shape`; default: standard normal.

    Raises:
      UserError: for an image that cannot be squeezed `levels` times.
    """
    check_integer("the flow", 1, DEEPEST, levels=levels)
    counts = [of_scale(steps, level + 1, levels, "steps") for level in range(levels)]
    for count in counts:
        check_integer("the flow", 1, DEEPEST, steps=count)
    check_choice("the flow", PRIORS, prior=prior)
    check_choice("the flow", ORDERS, order=order)
    check_choice("the flow", MEMORY, memory=memory)
    shape = _checked_shape(event_shape, levels)

    def scale(level: int) -> Bijector:
        """Return the flow of this scale and of those within it, from 1."""
        one, count = Chain(tuple(step(level))), int(counts[level - 1])
        parts = [Stack(one, count, memory) if count > 1 else one]
        if level < levels:
            parts += [_prior(prior_hidden)] if prior == "learned" else []
            parts += [Partial(scale(level + 1))]
        elif prior == "learned":
            parts += [Elementwise(Affine(), event_ndim=3)]
        return Conjugate(Squeeze(2, order), Chain(tuple(parts)))

    pixels = Elementwise(PixelSigmoid(alpha), event_ndim=3)
    return Flow(
        bijector=Chain((Inverse(scale(1)), pixels)),
        base=Normal(event_shape=shape) if base is None else base,
        event_shape=shape,
        context_dim=context_dim,
    )


def of_scale(values: Any, level: int, levels: int, name: str) -> Any:
    """Return a scale's value of an option given once, or once for each scale."""
    if isinstance(values, str) or not isinstance(values, Sequence):
        return values
    if len(values) != levels:
        raise UserError(
            f"the flow got {name}={tuple(values)} for levels={levels}; expected one "
            "value, or one for each scale."
        )
    return values[level - 1]


def _prior(hidden: int) -> Coupling:
    """Return the affine map of latents given the channels that the next scale has."""
    return Coupling(Affine(), GlowNet(hidden=hidden), event_ndim=3)


def _checked_shape(event_shape, levels: int) -> tuple[int, int, int]:
    shape = tuple(event_shape)
    if len(shape) != 3:
        raise UserError(
            f"event_shape = {list(shape)} is no shape of images; give (H, W, C)."
        )
    height, width, _ = shape
    block = 2**levels
    if height % block or width % block:
        raise UserError(
            f"levels={levels} needs sides that {block} divides, and the images have "
            f"{height}×{width} pixels; pad or crop them, or take fewer levels."
        )
    return shape


def _step(transform: ScalarTransform, net: str, **options) -> Callable:
    """Return a maker of Glow's step with any transform and any network of images."""

    def step(level):
        network = make_image_conditioner(net, **options)
        coupling = Coupling(transform, network, event_ndim=3)
        return [ActNorm(event_ndim=3), PLU(event_ndim=3), coupling]

    return step


def _pair(transform: ScalarTransform, net: str, **options) -> tuple[Bijector, ...]:
    """Return two couplings, which map both halves of the channels by turns."""
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
    max_log_scale: float = 5.0,
    **options,
) -> Flow:
    """Glow (Kingma & Dhariwal 2018): ActNorm, a 1×1 convolution, a coupling, repeated.

    The coupling is affine, or with `additive` a shift alone; its network has three
    convolutions of `hidden` channels. Further options are those of `multiscale`.

    >>> flow = glow((28, 28, 1), levels=2, steps=8, hidden=64)
    >>> flow.event_shape, flow.base_shape
    ((28, 28, 1), (28, 28, 1))
    """
    check_flag("glow", additive=additive)
    transform = Additive() if additive else Affine(max_log_scale)
    step = _step(transform, "glow", hidden=hidden)
    return multiscale(event_shape, step, **options)


@passes_options_to(multiscale)
def realnvp(
    event_shape,
    *,
    hidden: int = 32,
    blocks: int = 2,
    max_log_scale: float = 5.0,
    **options,
) -> Flow:
    """RealNVP (Dinh et al. 2017): pairs of affine couplings with residual networks.

    A step maps both halves of the channels by turns. After a squeeze in diagonal order
    the first scale's halves are the two colors of a checkerboard.
    """
    transform = Affine(max_log_scale)

    def step(level):
        pair = _pair(transform, "resnet", hidden=hidden, blocks=blocks)
        return [ActNorm(event_ndim=3), *pair]

    return multiscale(event_shape, step, **options)


@passes_options_to(multiscale)
def rq_nsf(
    event_shape,
    *,
    hidden: int = 64,
    bins: int = 8,
    bound: float = 3.0,
    **options,
) -> Flow:
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
    levels: int = 2,
    **options,
) -> Flow:
    """Flow++ (Ho et al. 2019): couplings by mixtures of logistics and gated networks.

    `net` is "gated", or "attention" for the paper's self-attention after every block;
    "glow" is a cheaper network for large images. `hidden` and `blocks` are its width
    and depth. Each is one value, or one for each scale. `last_size` is the side of the
    kernel of a gated network's last convolution, which has the most outputs by far.
    """
    transform = MixtureOfLogistics(components)

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


IMAGE_RECIPES = {
    "glow": glow,
    "realnvp": realnvp,
    "rq_nsf": rq_nsf,
    "flowpp": flowpp,
    "uva": uva,
}


def learned_noise(
    *,
    steps: int = 2,
    net: str = "glow",
    hidden: int = 32,
    max_log_scale: float = 3.0,
    masked: bool = False,
) -> Bijector:
    """Return the bijector of variational dequantization (Ho et al. 2019, Flow++).

    Each of `steps` steps maps both colors of a checkerboard by turns, given the image
    as a feature map; a new one is the identity, which is uniform noise. `net` is a
    name of `nfml_jax.nets.images.IMAGE_CONDITIONERS`, and `hidden` its width. The
    images' sides are even. With `masked` the networks see images with holes, as in
    `nfml_jax.flows.recipes.uva`, and learn the bounds of their log-scales.

    >>> from nfml_jax.bijectors import Dequantize
    >>> Dequantize(levels=256, noise=learned_noise(steps=1)).noise.event_ndim
    3
    """
    check_integer("the noise", 1, DEEPEST, steps=steps)
    check_flag("the noise", masked=masked)
    if masked:
        return masked_couplings(2 * int(steps), net=net, hidden=hidden)
    one = Chain(_pair(Affine(max_log_scale), net, hidden=hidden))
    stack = Stack(one, int(steps)) if steps > 1 else one
    return Conjugate(Squeeze(2, "diagonal"), stack)


def make_image_flow(
    event_shape: tuple[int, int, int],
    flow: Mapping[str, Any],
    *,
    levels: int = 256,
    noise: Mapping[str, Any] | None = None,
    context_dim: int = 0,
) -> Quantized:
    """Return the flow of images of a config: a recipe with options, and its noise.

    Args:
      event_shape: `(H, W, C)`.
      flow: {"recipe": a name of `IMAGE_RECIPES`, ...options}.
      levels: The number of values that a pixel can have.
      noise: The options of `learned_noise`; uniform noise without, or if its "steps"
        are None.
      context_dim: The size of a context, 0 for none.

    Raises:
      UserError: A name is unknown, or an option's value is invalid.

    >>> model = make_image_flow((8, 8, 1), {"recipe": "glow", "levels": 1}, levels=17)
    >>> model.flow.event_shape
    (8, 8, 1)
    """
    options = dict(flow)
    recipe = look_up(IMAGE_RECIPES, options.pop("recipe"), "recipe of images")
    known = dict.fromkeys(option_names(recipe))
    for option in options:
        look_up(known, option, f"option of recipe {flow['recipe']!r}:")
    drawn = None
    if noise and noise.get("steps") is not None:
        known = dict.fromkeys(inspect.signature(learned_noise).parameters)
        for option in noise:
            look_up(known, option, "option of noise:")
        drawn = learned_noise(**noise)
    density = recipe(event_shape, context_dim=context_dim, **options)
    return Quantized(density, Dequantize(levels=levels, noise=drawn))
