"""Flows of images whose layers map all numbers of an image at once.

Further options of each are those of `nfml_jax.flows.recipes.multiscale.multiscale`.
"""

from collections.abc import Sequence
from typing import Any

import flax.linen as nn

from nfml_jax.bijectors import (
    PLU,
    ActNorm,
    Affine,
    Bijector,
    Continuous,
    MixtureOfLogistics,
    PixelAutoregressive,
    Residual,
    Roulette,
)
from nfml_jax.flows.base import Base
from nfml_jax.flows.recipes.multiscale import (
    MAX_LOG_SCALE,
    ImageFlow,
    multiscale,
)
from nfml_jax.flows.recipes.stacked import passes_options_to
from nfml_jax.nets.images import MaskedConvs, PixelCNN, make_image_conditioner
from nfml_jax.nets.lipschitz_images import LipschitzConv
from nfml_jax.ops.checks import check_flag


@passes_options_to(multiscale)
def maf(
    event_shape,
    *,
    hidden=(64, 64),
    kernel_size: int = 3,
    max_log_scale: float = MAX_LOG_SCALE,
    **options: Any,
) -> ImageFlow:
    """MAF (Papamakarios et al. 2017) by masked convolutions, in both orders of pixels.

    A step is ActNorm, a 1×1 convolution and two autoregressive affine maps, of which
    the second sees pixels from the last to the first. A density takes one pass. A draw
    finds pixels one after another. Channels of a pixel are independent given the pixels
    before. `max_log_scale` bounds the log-scales of a map, see `MAX_LOG_SCALE`.

    >>> maf((28, 28, 1), levels=1, steps=2, hidden=(16,)).event_shape
    (28, 28, 1)
    """

    def step(level):
        maps = [
            PixelAutoregressive(
                Affine(max_log_scale),
                MaskedConvs(hidden=hidden, kernel_size=kernel_size),
                order=order,
            )
            for order in ("raster", "reverse")
        ]
        return [ActNorm(event_ndim=3), PLU(event_ndim=3), *maps]

    return multiscale(event_shape, step, **options)


@passes_options_to(multiscale)
def pixel_cnn(
    event_shape,
    *,
    hidden: int = 128,
    blocks: int = 4,
    components: int = 10,
    max_log_scale: float = 5.0,
    levels: int = 1,
    steps: int | Sequence[int] = 1,
    prior: str = "normal",
    base: Base | str = "logistic",
    **options: Any,
) -> ImageFlow:
    """A mixture of logistics for each number given those before, as in PixelCNN++.

    That network (Salimans et al. 2017) gives probabilities of levels; here the CDF of
    the mixture maps continuous numbers, so noise fills the levels as in other flows.
    Numbers are in order within the blocks of a squeeze, and blocks row by row. A
    density takes one pass of a `PixelCNN` with `hidden` channels and `blocks` gated
    blocks. A draw finds numbers one after another. `max_log_scale` bounds the
    log-scales of the mixtures' `components`.

    >>> pixel_cnn((28, 28, 1), hidden=16, blocks=1).event_shape
    (28, 28, 1)
    """
    transform = MixtureOfLogistics(components, max_log_scale)

    def step(level):
        net = PixelCNN(hidden=hidden, blocks=blocks)
        return [ActNorm(event_ndim=3), PixelAutoregressive(transform, net)]

    return multiscale(
        event_shape, step, levels=levels, steps=steps, prior=prior, base=base, **options
    )


@passes_options_to(multiscale)
def residual(
    event_shape,
    *,
    hidden=(64, 64),
    lipschitz: float = 0.97,
    exact: int = 2,
    stop: float = 0.5,
    normalize: bool = True,
    **options: Any,
) -> ImageFlow:
    """A residual flow (Chen et al. 2019): x + g(x), with g a contracting convolution.

    `hidden` are the channels of g between its convolutions, `lipschitz` the bound of
    its Lipschitz constant, and `normalize` puts an `ActNorm` before each block. Given a
    "log_det" key, log-determinants are estimated by `Roulette(exact, stop)`; without
    one they are exact, which takes a pass for each number of the image.

    >>> residual((28, 28, 1), levels=1, steps=2, hidden=(16,)).event_shape
    (28, 28, 1)
    """
    check_flag("residual", normalize=normalize)

    def step(level):
        block = Residual(LipschitzConv(hidden, lipschitz), Roulette(exact, stop))
        return [ActNorm(event_ndim=3), block] if normalize else [block]

    return multiscale(event_shape, step, **options)


@passes_options_to(multiscale)
def ffjord(
    event_shape,
    *,
    net: str = "glow",
    hidden: int = 32,
    steps: int | Sequence[int] = 1,
    rtol: float = 1e-3,
    atol: float = 1e-3,
    adjoint: str = "backsolve",
    **options: Any,
) -> ImageFlow:
    """FFJORD (Grathwohl et al. 2019): a continuous flow on every scale.

    `net` is a name of `nfml_jax.nets.images.IMAGE_CONDITIONERS` for the velocity, with
    `hidden` channels and softplus; it sees the time as a channel. Given a "log_det"
    key, the divergence is estimated by one direction; without one it is exact, which
    takes a pass for each number of the image. `rtol`, `atol` and `adjoint` are those of
    `Continuous`. Both directions cost the same.

    >>> ffjord((28, 28, 1), levels=1, hidden=8).event_shape
    (28, 28, 1)
    """

    def step(level) -> list[Bijector]:
        velocity = make_image_conditioner(net, hidden=hidden, activation=nn.softplus)
        solved = Continuous(
            velocity, rtol=rtol, atol=atol, adjoint=adjoint, event_ndim=3
        )
        return [ActNorm(event_ndim=3), solved]

    return multiscale(event_shape, step, steps=steps, **options)
