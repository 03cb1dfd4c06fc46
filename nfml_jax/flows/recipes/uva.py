"""The flows of MNIST of tutorial 11 of the UvA deep learning course (P. Lippe).

Their couplings are affine, with gated networks that see the image with holes. The first
scale masks a checkerboard of pixels at full resolution, and the others halves of the
channels after a squeeze.

The published parameters leave outputs of the last convolution that no pixel uses: half
of them, about 1 % of a network's multiply-adds on a checkerboard and 2 to 3 % on
channels. Everything before depends on both kinds of pixels.
"""

from collections.abc import Callable, Sequence

from nfml_jax.bijectors import (
    Bijector,
    Chain,
    Conjugate,
    Elementwise,
    Inverse,
    MaskedCoupling,
    Partial,
    PixelSigmoid,
    Squeeze,
    Stack,
)
from nfml_jax.bijectors.masks import (
    checkerboard,
    first_channels,
    last_channels,
    other_checkerboard,
)
from nfml_jax.errors import UserError
from nfml_jax.flows.bases import Normal
from nfml_jax.flows.flow import Flow
from nfml_jax.nets.images import make_image_conditioner
from nfml_jax.ops.checks import DEEPEST, check_integer

PIXELS = (checkerboard, other_checkerboard)
CHANNELS = (first_channels, last_channels)


def uva(
    event_shape: tuple[int, int, int],
    *,
    steps: Sequence[int] | int = (8,),
    hidden: Sequence[int] | int = (32,),
    blocks: int = 3,
    net: str = "gated",
    alpha: float = 5e-6,
    context_dim: int = 0,
) -> Flow:
    """The UvA tutorial's flow: masked affine couplings with gated networks.

    Args:
      event_shape: `(H, W, C)`; every scale but the first halves H and W.
      steps: The number of couplings of each scale: `(8,)` is the tutorial's simple
        flow, `(2, 2, 4)` with `hidden=(32, 48, 64)` the multi-scale one. From the third
        scale on, half of the channels is left as latents before the squeeze.
      hidden: The width of the networks of each scale.
      blocks: The number of gated blocks in a network.
      net: A name of `nfml_jax.nets.images.IMAGE_CONDITIONERS` with such options.
      alpha: The α of `nfml_jax.bijectors.PixelSigmoid`; the tutorial's 1e-5 is both
        sides together.
      context_dim: The size of a context, 0 for none.

    Raises:
      UserError: for an image that cannot be squeezed for every scale.

    >>> uva((28, 28, 1), steps=(2, 2, 4), hidden=(32, 48, 64)).base_shape
    (28, 28, 1)
    """
    counts, widths = _of_scales(steps), _of_scales(hidden)
    if len(counts) != len(widths):
        raise UserError(
            f"uva got steps={steps} and hidden={hidden}; expected one width for each "
            "scale."
        )
    for count in counts:
        check_integer("the flow", 1, DEEPEST, steps=count)

    def scale(number: int) -> Bijector:
        masks = CHANNELS if number else PIXELS
        options = {"hidden": widths[number], "blocks": blocks}
        parts = [masked_couplings(counts[number], masks, net, **options)]
        if number + 1 < len(counts):
            inner = Conjugate(Squeeze(2), scale(number + 1))
            parts += [Partial(inner) if number else inner]
        return Chain(tuple(parts))

    pixels = Elementwise(PixelSigmoid(alpha), event_ndim=3)
    shape = tuple(event_shape)
    return Flow(
        bijector=Chain((Inverse(scale(0)), pixels)),
        base=Normal(event_shape=shape),
        event_shape=shape,
        context_dim=context_dim,
    )


def masked_couplings(
    count: int, masks: Sequence[Callable] = PIXELS, net: str = "gated", **options
) -> Bijector:
    """Return `count` masked couplings with alternating masks, pairs in one loop.

    `options` are those of the network `net`.
    """

    def couplings(masks):
        networks = [make_image_conditioner(net, **options) for _ in masks]
        layers = zip(networks, masks, strict=True)
        return tuple(MaskedCoupling(network, mask) for network, mask in layers)

    pairs, one = divmod(count, 2)
    parts = [Stack(Chain(couplings(masks)), pairs)] if pairs else []
    return Chain((*parts, *couplings(masks[:one])))


def _of_scales(values: Sequence[int] | int) -> tuple[int, ...]:
    return tuple(values) if isinstance(values, Sequence) else (values,)
