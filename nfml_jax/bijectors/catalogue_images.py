"""Bijectors of images by name: the table that exports and laws of images follow from.

To add one, import it here and give it a line in `IMAGE_BIJECTORS` with a small example.
"""

from collections.abc import Callable
from dataclasses import dataclass

from nfml_jax.bijectors import catalogue
from nfml_jax.bijectors.autoregressive import Autoregressive
from nfml_jax.bijectors.bijector import Bijector
from nfml_jax.bijectors.causal import CausalConv as CausalConv
from nfml_jax.bijectors.combinators import Chain, Inverse
from nfml_jax.bijectors.coupling import Coupling
from nfml_jax.bijectors.dense import PLU, Dense
from nfml_jax.bijectors.elementwise import Elementwise
from nfml_jax.bijectors.linear import LU, QR, SVD
from nfml_jax.bijectors.low_rank import LowRank
from nfml_jax.bijectors.masked_coupling import MaskedCoupling as MaskedCoupling
from nfml_jax.bijectors.masks import second_half
from nfml_jax.bijectors.matrix_exponential import MatrixExponential
from nfml_jax.bijectors.normalization import ActNorm
from nfml_jax.bijectors.orthogonal import Householder
from nfml_jax.bijectors.parts import Conjugate as Conjugate
from nfml_jax.bijectors.parts import Partial
from nfml_jax.bijectors.periodic import PeriodicConv as PeriodicConv
from nfml_jax.bijectors.permutations import Permutation, Reverse
from nfml_jax.bijectors.pixel_autoregressive import (
    PixelAutoregressive as PixelAutoregressive,
)
from nfml_jax.bijectors.planar import Planar
from nfml_jax.bijectors.reshape import Flatten as Flatten
from nfml_jax.bijectors.reshape import Reshape as Reshape
from nfml_jax.bijectors.residual import Residual
from nfml_jax.bijectors.squeeze import Haar as Haar
from nfml_jax.bijectors.squeeze import Squeeze as Squeeze
from nfml_jax.bijectors.stack import Stack
from nfml_jax.bijectors.sylvester import Sylvester
from nfml_jax.bijectors.transforms import (
    Additive,
    Affine,
    MixtureOfLogistics,
    RationalQuadratic,
)
from nfml_jax.nets.conditioners import MLP
from nfml_jax.nets.images import GlowNet, MaskedConvs, PixelCNN
from nfml_jax.nets.lipschitz_images import LipschitzConv
from nfml_jax.nets.made import MADE


@dataclass(frozen=True)
class ImageEntry:
    """A small example of a bijector of images, and what holds of it.

    Attributes:
      make: A function of no arguments that returns the bijector.
      shape: The shape `[H, W, C]` of an event.
      context: The context that conditions it: None, "vector", or "map" for a feature
        map of the image's size.
      paper: The source.

    >>> ImageEntry(lambda: Haar(), (4, 6, 1)).kind.__name__
    'Haar'
    """

    make: Callable[[], Bijector]
    shape: tuple[int, int, int]
    context: str | None = None
    paper: str = ""

    @property
    def kind(self) -> type[Bijector]:
        """The class of the bijector."""
        return type(self.make())


def _net():
    return GlowNet(hidden=4)


def _mlp():
    return MLP(hidden=(4,))


def _step():
    """Return one step of Glow."""
    return Chain((ActNorm(), LU(event_ndim=3), Coupling(Affine(), _net())))


def _scales(memory: str = "keep"):
    """Return a Glow of two scales, the second one conditioned on by a learned prior."""
    last = Conjugate(Squeeze(), Stack(_step(), 2, memory))
    first = Chain((Partial(last), Coupling(Affine(), _net(), event_ndim=3), _step()))
    return Conjugate(Squeeze(order="glow"), first)


GLOW, REALNVP = "Kingma & Dhariwal 2018", "Dinh et al. 2017"

IMAGE_BIJECTORS = {
    "space_to_depth": ImageEntry(lambda: Squeeze(), (4, 2, 3)),
    "squeeze_glow": ImageEntry(lambda: Squeeze(order="glow"), (2, 4, 3), None, GLOW),
    "squeeze_diagonal": ImageEntry(
        lambda: Squeeze(order="diagonal"), (2, 4, 2), None, REALNVP
    ),
    "squeeze_of_three": ImageEntry(lambda: Squeeze(3, "diagonal"), (3, 6, 1)),
    "haar": ImageEntry(lambda: Haar(), (4, 2, 2)),
    "partial": ImageEntry(
        lambda: Partial(Coupling(Affine(), _net(), event_ndim=3), 2), (3, 2, 3), "map"
    ),
    "conjugate": ImageEntry(
        lambda: Conjugate(
            Flatten((2, 3, 2)), Autoregressive(Affine(), MADE(hidden=(24,)))
        ),
        (2, 3, 2),
        "map",
    ),
    "checkerboard": ImageEntry(
        lambda: Conjugate(Squeeze(order="diagonal"), Coupling(Affine(), _net())),
        (2, 4, 1),
        "map",
        REALNVP,
    ),
    "coupling": ImageEntry(
        lambda: Coupling(Affine(2.0), _net(), second_half, event_ndim=3),
        (3, 5, 3),
        "vector",
        REALNVP,
    ),
    "coupling_additive": ImageEntry(
        lambda: Coupling(Additive(), _net(), event_ndim=3), (3, 2, 2), "map"
    ),
    "coupling_mixture": ImageEntry(
        lambda: Coupling(MixtureOfLogistics(2), _net(), event_ndim=3),
        (2, 3, 2),
        "vector",
        "Ho et al. 2019",
    ),
    "coupling_spline": ImageEntry(
        lambda: Coupling(
            RationalQuadratic(4), _net(), identity=Elementwise(Affine()), event_ndim=3
        ),
        (3, 2, 2),
        None,
        "Durkan et al. 2019",
    ),
    "coupling_of_gray": ImageEntry(
        lambda: Coupling(Affine(), _net(), event_ndim=3), (3, 5, 1), "map"
    ),
    "masked_coupling": ImageEntry(
        lambda: MaskedCoupling(_net()), (3, 4, 1), "map", "UvA tutorial 11 (P. Lippe)"
    ),
    "elementwise": ImageEntry(lambda: Elementwise(Affine(), event_ndim=3), (3, 2, 2)),
    "elementwise_of_context": ImageEntry(
        lambda: Elementwise(Affine(), _mlp(), event_ndim=3), (3, 2, 2), "vector"
    ),
    "autoregressive": ImageEntry(
        lambda: Autoregressive(Affine(), MADE(hidden=(8,)), event_ndim=3),
        (2, 3, 4),
        "vector",
    ),
    "act_norm": ImageEntry(lambda: ActNorm(event_ndim=3), (3, 2, 3), None, GLOW),
    "reverse": ImageEntry(lambda: Reverse(event_ndim=3), (1, 3, 4)),
    "permutation": ImageEntry(lambda: Permutation(event_ndim=3), (3, 1, 4)),
    "lu": ImageEntry(lambda: LU(event_ndim=3), (3, 2, 3), None, GLOW),
    "lu_of_context": ImageEntry(lambda: LU(_mlp(), event_ndim=3), (3, 2, 2), "map"),
    "plu": ImageEntry(lambda: PLU(event_ndim=3), (3, 2, 4), None, GLOW),
    "dense": ImageEntry(lambda: Dense(event_ndim=3), (3, 2, 4), None, GLOW),
    "qr": ImageEntry(lambda: QR(event_ndim=3), (2, 3, 3)),
    "svd": ImageEntry(lambda: SVD(_mlp(), event_ndim=3), (2, 2, 3), "vector"),
    "low_rank": ImageEntry(lambda: LowRank(rank=2, event_ndim=3), (2, 2, 4)),
    "matrix_exponential": ImageEntry(
        lambda: MatrixExponential(event_ndim=3),
        (2, 3, 2),
        None,
        "Hoogeboom et al. 2020",
    ),
    "householder": ImageEntry(lambda: Householder(event_ndim=3), (2, 1, 3)),
    "planar": ImageEntry(lambda: Planar(event_ndim=3), (2, 2, 2)),
    "sylvester": ImageEntry(lambda: Sylvester(event_ndim=3), (2, 1, 3)),
    "inverse": ImageEntry(
        lambda: Inverse(Elementwise(Affine(), event_ndim=3)), (1, 1, 2)
    ),
    "flatten": ImageEntry(lambda: Flatten((2, 3, 1)), (2, 3, 1)),
    "reshape": ImageEntry(lambda: Reshape((2, 2, 3), (3, 1, 4)), (2, 2, 3)),
    "residual": ImageEntry(
        lambda: Residual(LipschitzConv(hidden=(4,))),
        (2, 3, 2),
        "map",
        "Chen et al. 2019",
    ),
    "periodic_conv": ImageEntry(
        lambda: PeriodicConv(), (4, 3, 2), None, "Hoogeboom et al. 2019"
    ),
    "periodic_conv_of_small_images": ImageEntry(lambda: PeriodicConv(5), (2, 4, 1)),
    "causal_conv": ImageEntry(
        lambda: CausalConv(), (3, 2, 3), None, "Hoogeboom et al. 2019"
    ),
    "emerging_conv": ImageEntry(
        lambda: Chain((CausalConv(5), CausalConv(order="reverse"))), (3, 4, 2)
    ),
    "pixel_autoregressive": ImageEntry(
        lambda: PixelAutoregressive(Affine(1.0), MaskedConvs(hidden=(4,))),
        (3, 2, 2),
        "vector",
        "Papamakarios et al. 2017",
    ),
    "pixel_autoregressive_reverse": ImageEntry(
        lambda: PixelAutoregressive(
            Additive(), MaskedConvs(hidden=(4,)), order="reverse"
        ),
        (2, 3, 1),
        "map",
    ),
    "pixel_cnn": ImageEntry(
        lambda: PixelAutoregressive(
            MixtureOfLogistics(2), PixelCNN(hidden=4, blocks=1)
        ),
        (3, 2, 2),
        "map",
        "Salimans et al. 2017",
    ),
    "scales": ImageEntry(_scales, (4, 8, 1), "map", GLOW),
}

__all__ = [
    "IMAGE_BIJECTORS",
    "ImageEntry",
    *sorted(
        {entry.kind.__name__ for entry in IMAGE_BIJECTORS.values()}
        - set(catalogue.__all__)
    ),
]
