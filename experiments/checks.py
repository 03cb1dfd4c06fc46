"""Checks of a config that take no data: each section builds its named object.

They report a value that no run can take before data are read, and for every trial of a
sweep before the first of them runs.
"""

import dataclasses
import inspect
from collections.abc import Callable, Sequence

from nfml_jax.data import DATASETS, augment
from nfml_jax.data.augment import check_augment
from nfml_jax.data.identities import Identities
from nfml_jax.data.samplers import ORDERS
from nfml_jax.data.vectors.load import VECTOR_DATASETS
from nfml_jax.errors import UserError
from nfml_jax.flows import make_flow
from nfml_jax.heads import make_head
from nfml_jax.loading.metrics import make_metric_model
from nfml_jax.losses import make_loss
from nfml_jax.mahalanobis import METRIC_LEARNERS
from nfml_jax.nets import make_net
from nfml_jax.ops.checks import check_integer, check_texts, refuse
from nfml_jax.ops.names import look_up
from nfml_jax.sweeps.overrides import Trial
from nfml_jax.training.checks import check_config
from nfml_jax.training.optimizers import make_optimizer, make_schedule
from nfml_jax.training.settings import RunSettings
from nfml_jax.variational import ENERGIES, DivergenceSettings

# Sizes for the objects that are built to be checked: the data will give the real ones.
CLASSES, STEPS = 10, 2
UNFIT = (TypeError, ValueError, AttributeError, KeyError)


def check_experiment(config: dict) -> None:
    """Raise UserError for a config that no run can take, whatever its data."""
    RunSettings.of(config)
    check_config(config)
    for section, check in CHECKS.items():
        if section not in config:
            continue
        if not isinstance(config[section], dict):
            refuse(None, section, config[section], "a section with fields")
        try:
            check(config)
        except UserError:
            raise
        except UNFIT as problem:
            raise UserError(
                f"the config's section {section!r} holds a value of a wrong kind "
                f"({type(problem).__name__}: {problem}); see configs/defaults for the "
                "kinds."
            ) from problem


def checked_trials(trials: Sequence[Trial]) -> list[Trial]:
    """Return the trials of a sweep with their values in the types of their fields.

    Raises UserError for the first trial that no run can take.
    """
    from experiments import EXPERIMENTS

    checked = []
    for number, trial in enumerate(trials, start=1):
        try:
            look_up(EXPERIMENTS, trial.config.get("experiment"), "experiment")
            check_experiment(trial.config)
            config = RunSettings.of(trial.config).cast(trial.config)
            checked.append(Trial(trial.override, config))
        except UserError as problem:
            raise UserError(
                f"trial {number} of the sweep ({trial.words()}) cannot run: {problem}"
            ) from None
    return checked


def _optimizer(config):
    settings = RunSettings.of(config).optimizer
    rate = make_schedule(settings.schedule, settings.learning_rate, steps=STEPS)
    make_optimizer(rate, settings)


def _augment(config):
    _only(augment, config["augment"], "augment")
    check_augment(**config["augment"])


def _objective(config):
    if "encoder" not in config:
        DivergenceSettings.of(config["objective"])
        return
    make_loss(CLASSES, config["encoder"]["embedding_size"], **config["objective"])


def _flow(config):
    dimensions = 2
    if "event_dim" in config["flow"]:
        raise UserError(
            f"flow.event_dim = {config['flow']['event_dim']} cannot be set: a flow has "
            "the coordinates of its data or of its energy; leave it out."
        )
    make_flow(event_dim=dimensions, **config["flow"])


def _identities(config):
    drawn = dict(config["identities"])
    check_integer("identities", 2, count=drawn.pop("count", None))
    known = {field.name: field for field in dataclasses.fields(Identities)}
    for option in drawn:
        look_up(known, option, "option of identities:")
    Identities(**drawn)


def _metric(config):
    learners = config["report"]["learners"]
    check_texts(None, **{"report.learners": learners})
    for name in learners:
        look_up(METRIC_LEARNERS, name, "metric learner")
    make_metric_model(0, config["loss"], CLASSES, CLASSES)


def _data(config):
    name = config["data"].get("name")
    if name is None:
        return  # a bridge has a run instead
    if "encoder" in config:
        if not name.startswith("tfds:"):
            look_up(DATASETS, name, "data set")
    else:
        look_up(VECTOR_DATASETS, name, "data set of vectors")


def _sampler(config):
    look_up(dict.fromkeys(ORDERS), config["sampler"].get("name", "shuffled"), "sampler")


def _only(function: Callable, options: dict, section: str) -> None:
    known = inspect.signature(function).parameters
    for option in options:
        look_up(known, option, f"option of {section}:")


CHECKS: dict[str, Callable[[dict], object]] = {
    "optimizer": _optimizer,
    "encoder": lambda config: make_net(**config["encoder"]),
    "augment": _augment,
    "head": lambda config: make_head(
        CLASSES, config["encoder"]["embedding_size"], **config["head"]
    ),
    "objective": _objective,
    "flow": _flow,
    "identities": _identities,
    "metric": _metric,
    "data": _data,
    "energy": lambda config: look_up(ENERGIES, config["energy"]["name"], "energy"),
    "sampler": _sampler,
}
