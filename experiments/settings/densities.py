"""The sections of experiments on densities, metrics and drawn identities."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from nfml_jax.ops.checks import check_integer, check_number
from nfml_jax.ops.settings import Settings, further, setting

COUNT = partial(check_integer, low=1)


@dataclass(frozen=True)
class DensityReport(Settings):
    """The section "report" of a density of vectors."""

    section = "report"

    samples: int = setting(
        "The samples drawn for figures and two-sample tests.", 2000, check=COUNT
    )


@dataclass(frozen=True)
class EnergySettings(Settings):
    """The section "energy": a density that lacks its normalizer."""

    section = "energy"

    name: str = setting(
        "One of `nfml_jax.variational.ENERGIES`: u1 to u4 of Rezende and Mohamed "
        "(2015).",
        "u1",
    )


@dataclass(frozen=True)
class AnnealingSettings(Settings):
    """The section "annealing": the log-density is multiplied by β, which rises to 1."""

    section = "annealing"

    start: float = setting(
        "The first β.", 0.01, check=partial(check_number, above=0, high=1)
    )
    steps: int | None = setting(
        "The steps until β is 1; None is off: β is 1 from the first step.",
        2000,
        check=COUNT,
    )


@dataclass(frozen=True)
class VariationalReport(Settings):
    """The section "report" of variational inference."""

    section = "report"

    draws: int = setting("The draws of the flow for the report.", 100_000, check=COUNT)
    validation: int = setting("The draws for each validation.", 4096, check=COUNT)
    chains: int = setting(
        "The chains of annealed importance sampling.", 4096, check=COUNT
    )
    cells: int = setting(
        "The cells along either side of the grid for KL(p ‖ q).",
        320,
        check=partial(check_integer, low=2, high=10_000),
    )
    samples: int = setting("The points in the figures.", 2000, check=COUNT)


@dataclass(frozen=True)
class MetricSettings(Settings):
    """The section "metric": L of the metric W = LᵀL."""

    section = "metric"

    rank: int | None = setting(
        "The rows of L; None is as many as columns.", None, check=COUNT
    )


@dataclass(frozen=True)
class MetricReport(Settings):
    """The section "report" of the experiment on metrics."""

    section = "report"

    learners: tuple[str, ...] = setting(
        "Names of `nfml_jax.mahalanobis.METRIC_LEARNERS`, fitted to all training rows.",
        (),
    )


@dataclass(frozen=True)
class IdentitiesSettings(Settings):
    """The section "identities": identities whose views are drawn."""

    section = "identities"

    count: int = setting(
        "The number of identities to train on.", check=partial(check_integer, low=2)
    )
    options: Mapping[str, Any] = further(
        "The fields of `nfml_jax.synthetic.identities.Identities`."
    )


@dataclass(frozen=True)
class IdentitiesReport(Settings):
    """The section "report" of drawn identities."""

    section = "report"

    identities: int = setting(
        "The identities to evaluate on.", check=partial(check_integer, low=2)
    )
    probes: int = setting("The probes of each of them.", check=COUNT)
