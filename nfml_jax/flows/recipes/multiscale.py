"""The common part of recipes of images: scales, priors, padding, a base by name.

Every scale squeezes blocks of 2 × 2 pixels into channels, applies `steps` equal steps
in one loop, and hands half of the channels to the next scale (Dinh et al. 2017, section
3.6). The other half is left as latents: standard normal by itself (`prior="normal"`),
or after a learned affine map given the half that went on (`prior="learned"`, Kingma &
Dhariwal 2018). Latents are one array in the shape of the image.
"""

from collections.abc import Callable, Sequence
from typing import Any

from nfml_jax.bijectors import (
    Affine,
    Bijector,
    Chain,
    Conjugate,
    Coupling,
    Elementwise,
    Flatten,
    Inverse,
    Pad,
    Partial,
    PixelSigmoid,
    Squeeze,
    Stack,
)
from nfml_jax.bijectors.squeeze import ORDERS
from nfml_jax.bijectors.stack import MEMORY
from nfml_jax.bijectors.transforms.transform import LINE
from nfml_jax.errors import UserError
from nfml_jax.flows.base import Base
from nfml_jax.flows.flow import Flow
from nfml_jax.flows.quantized import Quantized
from nfml_jax.flows.recipes.stacked import make_base, passes_options_to
from nfml_jax.nets.images import GlowNet
from nfml_jax.ops.checks import (
    DEEPEST,
    check_choice,
    check_flag,
    check_integer,
    check_sizes,
)

PRIORS = ("learned", "normal")

MAX_LOG_SCALE = 2.0
"""The default bound of the log-scales of affine layers that follow one another.

Scales multiply over layers: six within ±5 let a number grow by e³⁰. Glow of six steps
so diverged on Fashion-MNIST at step 38, in the warm-up: one image of a batch had
latents of 6e12. Within ±2 it trained to 3.36 bits per dimension. No more is needed: all
layers together spread a black pixel by about e^5.5.
"""

EventShape = tuple[int, ...]
ImageFlow = Flow | Quantized
"""A flow of images; a `Quantized` if it pads them."""


def of_pixels(
    event_shape: EventShape,
    to_latents: Bijector,
    *,
    alpha: float = 1e-5,
    context_dim: int = 0,
    base: Base | str = "normal",
) -> Flow:
    """Return the flow of pixels in (0, 1) whose logits a bijector maps to latents.

    Args:
      event_shape: `(H, W, C)`.
      to_latents: The bijector from the logits to the base, of the event's shape.
      alpha: The α of `nfml_jax.bijectors.PixelSigmoid`.
      context_dim: The size of a context, 0 for none.
      base: The base of latents `event_shape`, or its name in `BASES`.
    """
    pixels = Elementwise(PixelSigmoid(alpha), event_ndim=3)
    if isinstance(base, str):
        name = base
        base = make_base(name, event_shape=event_shape, classes=context_dim)
        if base.interval != LINE:
            raise UserError(
                f"base {name!r} has draws within bounds, and latents of images have "
                "none; take normal, learned_normal, gaussian_mixture or resampled."
            )
    return Flow(
        bijector=Chain((Inverse(to_latents), pixels)),
        base=base,
        event_shape=event_shape,
        context_dim=context_dim,
    )


@passes_options_to(of_pixels)
def multiscale(
    event_shape: EventShape,
    step: Callable[[int], Sequence[Bijector]],
    *,
    levels: int = 2,
    steps: int | Sequence[int] = 8,
    prior: str = "learned",
    prior_hidden: int = 64,
    order: str = "diagonal",
    memory: str = "keep",
    pad: bool = True,
    **options,
) -> ImageFlow:
    """Return a flow of images that repeats `step` on every scale.

    Args:
      event_shape: `(H, W, C)`.
      step: A function of a scale's number, from 1, that returns the bijectors of its
        step, new ones at each call, in the order from the data to the base.
      levels: The number of scales.
      steps: The number of steps of every scale, or a number for each.
      prior: "learned" or "normal", the latents that a scale leaves.
      prior_hidden: The width of the networks of learned priors.
      order: The order of a squeeze's channels, see `nfml_jax.bijectors.Squeeze`.
      memory: What is stored for the gradient, see `nfml_jax.bijectors.Stack`.
      pad: True pads sides that 2^levels doesn't divide. The result is then a
        `Quantized` of a greater flow and a `Pad`: its `log_prob` takes a key, and is a
        lower bound of the density of the image's own numbers. False refuses them.
      **options: Those of `of_pixels`: alpha, context_dim and base.

    Raises:
      UserError: for an image that cannot be squeezed `levels` times.
    """
    check_integer("the flow", 1, DEEPEST, levels=levels)
    counts = [of_scale(steps, level + 1, levels, "steps") for level in range(levels)]
    for count in counts:
        check_integer("the flow", 1, DEEPEST, steps=count)
    check_choice("the flow", PRIORS, prior=prior)
    check_choice("the flow", ORDERS, order=order)
    check_flag("the flow", pad=pad)
    shape = checked_shape(event_shape)
    border = _border(shape, levels, pad)

    def scale(level: int) -> Bijector:
        """Return the flow of this scale and of those within it, from 1."""
        parts = [repeated(step(level), counts[level - 1], memory)]
        if level < levels:
            parts += [_prior(prior_hidden)] if prior == "learned" else []
            parts += [Partial(scale(level + 1))]
        elif prior == "learned":
            parts += [Elementwise(Affine(), event_ndim=3)]
        return Conjugate(Squeeze(2, order), Chain(tuple(parts)))

    if border is None:
        return of_pixels(shape, scale(1), **options)
    return Quantized(
        of_pixels(border.inverse_shape(shape), scale(1), **options), border
    )


@passes_options_to(of_pixels)
def flattened(
    event_shape: EventShape,
    layer: Sequence[Bijector],
    *,
    layers: int,
    memory: str = "keep",
    **options,
) -> Flow:
    """Return a flow of images as vectors of all their numbers, with learned scales.

    Args:
      event_shape: `(H, W, C)`.
      layer: The bijectors of vectors of a layer, from the data to the base.
      layers: The number of layers.
      memory: What is stored for the gradient, see `nfml_jax.bijectors.Stack`.
      **options: Those of `of_pixels`: alpha, context_dim and base.
    """
    check_integer("the flow", 1, DEEPEST, layers=layers)
    shape = checked_shape(event_shape)
    vectors = Chain((Elementwise(Affine()), repeated(layer, layers, memory)))
    return of_pixels(shape, Conjugate(Flatten(shape), vectors), **options)


def repeated(step: Sequence[Bijector], steps: int, memory: str) -> Bijector:
    """Return a step's bijectors `steps` times, in one loop if there are several."""
    check_choice("the flow", MEMORY, memory=memory)
    one = Chain(tuple(step))
    return Stack(one, int(steps), memory) if steps > 1 else one


def checked_shape(given) -> EventShape:
    """Return the event shape `(H, W, C)` of images; UserError for any other."""
    shape = tuple(given) if isinstance(given, Sequence) else (given,)
    if len(shape) != 3:
        raise UserError(
            f"event_shape = {list(shape)} is no shape of images; give (H, W, C)."
        )
    check_sizes("the flow", event_shape=shape, least=1)
    return shape


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


def _border(shape: EventShape, levels: int, pad: bool) -> Pad | None:
    """Return the padding of images so that 2^levels divides them, or None."""
    height, width, _ = shape
    block = 2**levels
    rows, columns = -height % block, -width % block
    if not rows and not columns:
        return None
    if not pad:
        raise UserError(
            f"levels={levels} needs sides that {block} divides, and the images have "
            f"{height}×{width} pixels; set pad=True, or take fewer levels."
        )
    return Pad(rows=rows, columns=columns, noise="logit_normal")
