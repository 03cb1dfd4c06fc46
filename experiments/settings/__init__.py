"""The settings of each kind of experiment: the sections of a config that it reads.

`SETTINGS` has a class for each; `of` makes one from a config, of which
`nfml_jax.training.settings` reads the rest.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from experiments.settings.data import PictureData, VectorData
from experiments.settings.densities import (
    AnnealingSettings,
    DensityReport,
    EnergySettings,
    IdentitiesReport,
    IdentitiesSettings,
    MetricReport,
    MetricSettings,
    VariationalReport,
)
from experiments.settings.pictures import (
    AugmentSettings,
    OneShotSettings,
    SamplerSettings,
)
from experiments.settings.pixels import (
    ImageReport,
    MoveSettings,
    NoiseSettings,
    PixelSettings,
)
from nfml_jax.errors import UserError
from nfml_jax.loading.settings import (
    EncoderSettings,
    FlowSettings,
    HeadSettings,
    LossSettings,
    ObjectiveSettings,
)
from nfml_jax.ops.settings import Settings, kinds_of, setting
from nfml_jax.training.settings import RunSettings

__all__ = [
    "SETTINGS",
    "AugmentSettings",
    "DensitySettings",
    "ExperimentSettings",
    "IdentitySettings",
    "ImageSettings",
    "MarginSettings",
    "MetricLearningSettings",
    "OneShotSettings",
    "PairSettings",
    "PictureData",
    "PictureSettings",
    "SamplerSettings",
    "VariationalSettings",
    "VectorData",
]


@dataclass(frozen=True, kw_only=True)
class ExperimentSettings(Settings):
    """The settings that every experiment reads."""

    seed: int = setting("The seed of everything random in training.", 0)

    @classmethod
    def of(cls, values: Any) -> Self:
        """Return the experiment's sections of a config.

        Raises UserError for a section that the config lacks, or that no run has.
        """
        own = dict(kinds_of(cls))
        shared = dict(kinds_of(RunSettings)).keys() - own.keys()
        lacking = [
            name
            for name, kind in own.items()
            if (kind.section or Mapping in kind.types)
            and not kind.optional
            and name not in values
        ]
        if lacking:
            name = values.get("experiment")
            raise UserError(
                f"experiment {name!r} reads {' and '.join(lacking)}, which this config "
                "doesn't have; choose a config of that experiment, such as "
                "configs/folder.py:triplet for pairs of your own pictures."
            )
        return super().of({n: v for n, v in values.items() if n not in shared})


@dataclass(frozen=True, kw_only=True)
class PictureSettings(ExperimentSettings):
    """The settings of experiments on labeled images."""

    data: PictureData = setting("The images.")
    augment: AugmentSettings = setting("Changes of the images.", AugmentSettings())
    encoder: EncoderSettings = setting("The network.")
    baselines: bool = setting(
        "Whether to evaluate pixels, PCA and LDA on the same test.", True
    )
    one_shot: OneShotSettings | None = setting(
        "Episodes of few examples; None is none.", None
    )


@dataclass(frozen=True, kw_only=True)
class MarginSettings(PictureSettings):
    """The settings of classification with a margin head."""

    head: HeadSettings = setting("The head.")


@dataclass(frozen=True, kw_only=True)
class PairSettings(PictureSettings):
    """The settings of training by an objective on distances."""

    sampler: SamplerSettings = setting("The batches.", SamplerSettings())
    objective: ObjectiveSettings = setting("The objective.")


@dataclass(frozen=True, kw_only=True)
class IdentitySettings(ExperimentSettings):
    """The settings of training on drawn identities."""

    identities: IdentitiesSettings = setting("The identities.")
    encoder: EncoderSettings = setting("The network.")
    head: HeadSettings = setting("The head.")
    report: IdentitiesReport = setting("The evaluation.")


@dataclass(frozen=True, kw_only=True)
class DensitySettings(ExperimentSettings):
    """The settings of flows on vectors."""

    data: VectorData = setting("The vectors, or the run of a bridge.")
    flow: FlowSettings = setting("The flow.")
    report: DensityReport = setting("The evaluation.", DensityReport())


@dataclass(frozen=True, kw_only=True)
class ImageSettings(ExperimentSettings):
    """The settings of flows on images."""

    class_conditional: bool = setting(
        "Whether the flow is conditional on the class of an image.", False
    )
    data: PixelSettings = setting("The images.")
    augment: MoveSettings = setting("Changes of the images.", MoveSettings())
    noise: NoiseSettings = setting("The noise of the levels.", NoiseSettings())
    flow: FlowSettings = setting("The flow.")
    report: ImageReport = setting("The evaluation.", ImageReport())


@dataclass(frozen=True, kw_only=True)
class VariationalSettings(ExperimentSettings):
    """The settings of flows on energies."""

    energy: EnergySettings = setting("The target.", EnergySettings())
    flow: FlowSettings = setting("The flow.")
    objective: Mapping[str, Any] = setting(
        "The fields of `nfml_jax.variational.DivergenceSettings`.", {}
    )
    annealing: AnnealingSettings = setting("The rise of β.", AnnealingSettings())
    report: VariationalReport = setting("The evaluation.", VariationalReport())


@dataclass(frozen=True, kw_only=True)
class MetricLearningSettings(ExperimentSettings):
    """The settings of metrics on labeled vectors."""

    data: VectorData = setting("The vectors, split by the run's seed.")
    metric: MetricSettings = setting("The metric.", MetricSettings())
    loss: LossSettings = setting("The loss that trains it.")
    report: MetricReport = setting("The metrics beside it.", MetricReport())


SETTINGS: dict[str, type[ExperimentSettings]] = {
    "margin": MarginSettings,
    "identities": IdentitySettings,
    "density": DensitySettings,
    "pairs": PairSettings,
    "conditional": DensitySettings,
    "bridge": DensitySettings,
    "images": ImageSettings,
    "variational": VariationalSettings,
    "metric": MetricLearningSettings,
}
