"""The sections of experiments on labeled images."""

from dataclasses import dataclass
from functools import partial

from nfml_jax.ops.checks import check_choice, check_integer, check_number, check_sizes
from nfml_jax.ops.settings import Settings, setting

COUNT = partial(check_integer, low=1)
LIMIT = partial(check_number, low=0)
ORDERS = ("shuffled", "balanced", "sequential")


@dataclass(frozen=True)
class AugmentSettings(Settings):
    """The section "augment": each image is augmented anew at every step.

    Every number is the limit of a random draw; see `nfml_jax.data.augment`.
    """

    section = "augment"

    shift: float = setting("The shift along either axis, in pixels.", 0.0, check=LIMIT)
    rotate: float = setting("The rotation either way, in degrees.", 0.0, check=LIMIT)
    scale: float = setting("The change of size, as a fraction.", 0.0, check=LIMIT)
    shear: float = setting("The shear, in pixels a row.", 0.0, check=LIMIT)
    flip: bool = setting("Whether half of the images are mirrored.", False)
    resolution: float = setting(
        "The fraction of pixels removed per side.", 0.0, check=LIMIT
    )
    blur: float = setting("The standard deviation, in pixels.", 0.0, check=LIMIT)
    light: float = setting("The darkening of one side.", 0.0, check=LIMIT)
    gamma: float = setting(
        "The excess of a power over 1, or of its inverse.", 0.0, check=LIMIT
    )
    contrast: float = setting("The relative change of contrast.", 0.0, check=LIMIT)
    brightness: float = setting(
        "The change, as a fraction of the range of values.", 0.0, check=LIMIT
    )
    erase: float = setting(
        "The area of a gray rectangle in half of the images.", 0.0, check=LIMIT
    )
    clean: float = setting(
        "The fraction of the images that stay as they are.", 0.0, check=LIMIT
    )


@dataclass(frozen=True)
class SamplerSettings(Settings):
    """The section "sampler": the order of the examples of an epoch."""

    section = "sampler"

    name: str = setting(
        "shuffled, balanced (each class equally often) or sequential.",
        "shuffled",
        check=partial(check_choice, choices=ORDERS),
    )
    per_class: int | None = setting(
        "The examples of each class in a batch; None sets no number.", 8, check=COUNT
    )

    def words(self) -> str:
        """Return the order for the header of a run."""
        if self.per_class is None:
            return self.name
        return f"{self.name}, {self.per_class} of each class"


@dataclass(frozen=True)
class OneShotSettings(Settings):
    """The section "one_shot": episodes of few examples of unseen classes."""

    section = "one_shot"

    ways: tuple[int, ...] = setting(
        "The numbers of classes in an episode.",
        (5, 20),
        check=partial(check_sizes, low=2, least=1),
    )
    shots: tuple[int, ...] = setting(
        "The numbers of examples that stand for a class.",
        (1, 5),
        check=partial(check_sizes, low=1, least=1),
    )
    queries: int = setting("The queries of each class in an episode.", 15, check=COUNT)
    episodes: int = setting("The number of episodes.", 1000, check=COUNT)
    runs: bool = setting(
        "Whether to report the 20 runs within alphabets of Lake et al. (2015).", False
    )
