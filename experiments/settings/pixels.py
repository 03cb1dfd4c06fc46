"""The sections of the experiment on flows of images."""

from dataclasses import dataclass
from functools import partial

from experiments.settings.data import PictureFiles, option
from nfml_jax.ops.checks import check_integer, check_number
from nfml_jax.ops.settings import Settings, setting

COUNT = partial(check_integer, low=1)
NATURAL = partial(check_integer, low=0)


@dataclass(frozen=True, kw_only=True)
class PixelSettings(PictureFiles):
    """The section "data": arguments of `nfml_jax.data.pixels.load_pixels`."""

    name: str = setting(
        "One of `nfml_jax.data.pixels.PIXEL_DATASETS`: mnist, fashion_mnist, omniglot, "
        "lfw, bsds300_crops, digits or image_folder."
    )
    sum_blocks: int | None = option(
        "The side of blocks whose sum is a pixel; 4 makes 4,081 levels of 256.", COUNT
    )


@dataclass(frozen=True)
class MoveSettings(Settings):
    """The section "augment": each image is moved anew at every step."""

    section = "augment"

    shift: int = setting("The most pixels to shift by.", 0, check=NATURAL)
    flip: bool = setting("Whether half of the images are mirrored.", False)


@dataclass(frozen=True)
class NoiseSettings(Settings):
    """The section "noise", which fills levels: `nfml_jax.flows.learned_noise`."""

    section = "noise"

    steps: int | None = setting(
        "The pairs of couplings of learned noise; None is uniform noise.",
        None,
        check=COUNT,
    )
    net: str = setting("One of `nfml_jax.nets.images.IMAGE_CONDITIONERS`.", "glow")
    hidden: int = setting("The width of the networks.", 32, check=COUNT)
    max_log_scale: float = setting(
        "The bound of the couplings' log scales.",
        3.0,
        check=partial(check_number, above=0),
    )
    masked: bool = setting(
        "Whether the networks see images with holes, as in the recipe uva, instead of "
        "half of the channels.",
        False,
    )

    def words(self) -> str:
        """Return the noise for the header of a run."""
        return "uniform" if self.steps is None else f"learned, {self.steps} steps"


@dataclass(frozen=True)
class ImageReport(Settings):
    """The section "report" of flows of images."""

    section = "report"

    importance: int = setting("The draws of noise for each test image.", 8, check=COUNT)
    samples: int = setting("The images in a figure.", 64, check=COUNT)
