"""Conditioners of images by name: networks `[..., H, W, C] -> [..., H, W, features]`.

They are called as those of vectors (`nfml_jax.nets.conditioners`), start at zero as
these do, and convolve by `nfml_jax.nets.convolution`.
"""

import dataclasses

from nfml_jax.nets.images.attention import AttentionNet
from nfml_jax.nets.images.conditioner import ImageConditioner
from nfml_jax.nets.images.densenet import DenseNet
from nfml_jax.nets.images.gated import GatedResNet
from nfml_jax.nets.images.glow import GlowNet
from nfml_jax.nets.images.pixel_cnn import MaskedConvs, PixelCNN
from nfml_jax.nets.images.resnet import ResNet
from nfml_jax.ops.names import check_names, look_up

IMAGE_CONDITIONERS = {
    "attention": AttentionNet,
    "densenet": DenseNet,
    "gated": GatedResNet,
    "glow": GlowNet,
    "resnet": ResNet,
}

__all__ = [
    "IMAGE_CONDITIONERS",
    "AttentionNet",
    "DenseNet",
    "GatedResNet",
    "GlowNet",
    "ImageConditioner",
    "MaskedConvs",
    "PixelCNN",
    "ResNet",
    "known_options",
    "make_image_conditioner",
]


def known_options(name: str) -> list[str]:
    """Return the options of the conditioner `name` of `IMAGE_CONDITIONERS`.

    >>> known_options("glow")
    ['activation', 'dropout', 'dtype', 'hidden']
    """
    kind = look_up(IMAGE_CONDITIONERS, name, "conditioner of images")
    fields = [f.name for f in dataclasses.fields(kind) if f.init]
    return [field for field in fields if field not in ("parent", "name")]


def make_image_conditioner(name: str, **options) -> ImageConditioner:
    """Return the conditioner `name` of `IMAGE_CONDITIONERS`, with its own options.

    Raises UserError for a name or an option that does not exist.
    """
    check_names(options, known_options(name), f"option of the conditioner {name!r}:")
    return IMAGE_CONDITIONERS[name](**options)
