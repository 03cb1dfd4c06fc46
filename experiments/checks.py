"""Checks of a config that take no data: each section builds its named object.

They report a value that no run can take before data are read, and for every trial of a
sweep before the first of them runs.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from experiments.settings import SETTINGS
from nfml_jax.data import DATASETS
from nfml_jax.data.augment import check_augment
from nfml_jax.data.pixels import PIXEL_DATASETS
from nfml_jax.data.vectors.load import VECTOR_DATASETS
from nfml_jax.errors import UserError
from nfml_jax.flows import make_flow, make_image_flow
from nfml_jax.heads import make_head
from nfml_jax.loading.metrics import make_metric_model
from nfml_jax.losses import make_loss
from nfml_jax.mahalanobis import METRIC_LEARNERS
from nfml_jax.nets import make_net
from nfml_jax.ops.names import flatten, look_up
from nfml_jax.sweeps.overrides import Trial
from nfml_jax.synthetic.identities import Identities
from nfml_jax.training.optimizers import make_optimizer
from nfml_jax.training.schedules import make_schedule
from nfml_jax.training.settings import RunSettings
from nfml_jax.variational import ENERGIES, DivergenceSettings

# Sizes for the objects that are built to be checked: the data will give the real ones.
CLASSES, STEPS = 10, 2
# Flows of fewer scales than this are checked on images of their least size.
LEVELS = 9
UNFIT = (TypeError, ValueError, AttributeError, KeyError)


def check_experiment(config: dict) -> dict:
    """Return a config with its values in the types of their fields.

    Raises UserError for a config that no run can take, whatever its data.
    """
    run = RunSettings.of(config)
    settings = look_up(SETTINGS, run.experiment, "experiment").of(config)
    check_finite(config)
    rate = make_schedule(
        run.optimizer.schedule, run.optimizer.learning_rate, steps=STEPS
    )
    make_optimizer(rate, run.optimizer)
    for section, check in CHECKS.items():
        if not hasattr(settings, section):
            continue
        try:
            check(settings)
        except UserError:
            raise
        except UNFIT as problem:
            raise UserError(
                f"the config's section {section!r} holds a value of a wrong kind "
                f"({type(problem).__name__}: {problem}); see experiments.settings for "
                "the kinds."
            ) from problem
    return settings.cast(run.cast(config))


def checked_trials(trials: Sequence[Trial]) -> list[Trial]:
    """Return the trials of a sweep with their values in the types of their fields.

    Raises UserError for the first trial that no run can take.
    """
    checked = []
    for number, trial in enumerate(trials, start=1):
        try:
            checked.append(Trial(trial.override, check_experiment(trial.config)))
        except UserError as problem:
            raise UserError(
                f"trial {number} of the sweep ({trial.words()}) cannot run: {problem}"
            ) from None
    return checked


def check_finite(config: Mapping) -> None:
    """Raise UserError for a number that is not finite."""
    for name, value in flatten(config).items():
        for number in value if isinstance(value, tuple | list) else (value,):
            if isinstance(number, float) and not math.isfinite(number):
                raise UserError(f"{name} = {number} must be a finite number.")


def _objective(settings: Any) -> None:
    if not hasattr(settings, "encoder"):
        DivergenceSettings.of(settings.objective)
        return
    size = settings.encoder.embedding_size
    make_loss(CLASSES, size, **settings.objective.to_config())


def _flow(settings: Any) -> None:
    options = settings.flow.options
    if "event_dim" in options:
        raise UserError(
            f"flow.event_dim = {options['event_dim']} cannot be set: a flow has the "
            "coordinates of its data or of its energy; leave it out."
        )
    if not hasattr(settings, "noise"):
        make_flow(event_dim=2, **settings.flow.to_config())
        return
    scales = options.get("steps")
    levels = options.get("levels", len(scales) if isinstance(scales, tuple) else 1)
    side = 2 ** (levels if isinstance(levels, int) and 0 < levels < LEVELS else 1)
    flow, noise = settings.flow.to_config(), settings.noise.to_config()
    make_image_flow((side, side, 1), flow, noise=noise)


def _identities(settings: Any) -> None:
    options = settings.identities.options
    known = {field.name: field for field in dataclasses.fields(Identities)}
    for option in options:
        look_up(known, option, "option of identities:")
    Identities(**options)


def _metric(settings: Any) -> None:
    for name in settings.report.learners:
        look_up(METRIC_LEARNERS, name, "metric learner")
    make_metric_model(None, settings.loss, CLASSES, CLASSES)


def _data(settings: Any) -> None:
    name = settings.data.name
    if name is None:
        return  # a bridge has a run instead
    if hasattr(settings, "noise"):
        look_up(PIXEL_DATASETS, name, "set of pictures")
    elif not hasattr(settings, "encoder"):
        look_up(VECTOR_DATASETS, name, "data set of vectors")
    elif not name.startswith("tfds:"):
        look_up(DATASETS, name, "data set")


def _head(settings: Any) -> None:
    size = settings.encoder.embedding_size
    make_head(CLASSES, size, **settings.head.to_config())


def _augment(settings: Any) -> None:
    if not hasattr(settings, "noise"):
        check_augment(**settings.augment.to_config())


CHECKS: dict[str, Callable[[Any], object]] = {
    "encoder": lambda settings: make_net(**settings.encoder.to_config()),
    "augment": _augment,
    "head": _head,
    "objective": _objective,
    "flow": _flow,
    "identities": _identities,
    "metric": _metric,
    "data": _data,
    "energy": lambda settings: look_up(ENERGIES, settings.energy.name, "energy"),
}
