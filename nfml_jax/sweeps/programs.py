"""The grouping of a sweep's trials into programs: a group differs only in numbers.

A field is traced if a step can take it as an array: it changes no shape, no branch and
no data. Everything else in a config decides what is compiled.
"""

import json
from collections.abc import Sequence
from fnmatch import fnmatchcase

from nfml_jax.errors import UserError
from nfml_jax.ops.names import flatten
from nfml_jax.sweeps.overrides import Trial

# Patterns of dotted fields, as in file names; their numeric values are traced.
TRACED = (
    "seed",
    "optimizer.learning_rate",
    "optimizer.momentum",
    "optimizer.weight_decay",
    "optimizer.clip_norm",
    "head.margin",
    "head.scale",
    "head.t",
    "head.gamma",
    "head.deviation",
    "head.annealing.*",  # λ of L-Softmax and SphereFace
    "objective.margin",
    "objective.margin_of_others",
    "objective.positive_margin",
    "objective.temperature",
    "objective.scale",
    "objective.alpha",
    "objective.beta",
    "objective.base",
    "objective.gamma",
    "objective.tau",
    "objective.nu",
    "objective.angle",
    "objective.penalty",
    "objective.weight",
    "objective.invariance",
    "objective.variance",
    "objective.covariance",
    "objective.off_diagonal",
)
# At 0 the program lacks a part, and so is another.
OFF_AT_ZERO = ("optimizer.weight_decay", "optimizer.clip_norm")
WHOLE = ("seed",)  # traced although an integer; other integers are kinds, as in cos 4θ

MODES = ("auto", "on", "off")
LARGEST = 32  # maximum of trials in a group: their states lie in memory together


def grouped(trials: Sequence[Trial], mode: str = "auto") -> list[list[Trial]]:
    """Return the trials in groups that differ only in traced fields, in their order.

    `mode` is "on", "off" (each trial for itself) or "auto", which groups where that
    pays: a CPU is as busy with one trial as with many.
    """
    if mode not in MODES:
        raise UserError(f"vmap = {mode!r} is not known; choose {', '.join(MODES)}.")
    if mode == "off":
        return [[trial] for trial in trials]
    alike: dict[str, list[Trial]] = {}
    for trial in trials:
        key = trial.id if _is_split(trial.config) else _program(trial.config)
        alike.setdefault(key, []).append(trial)
    groups = []
    for members in alike.values():
        size = LARGEST if mode == "on" or pays(members) else 1
        groups += [members[i : i + size] for i in range(0, len(members), size)]
    return groups


def pays(trials: Sequence[Trial]) -> bool:
    """Return whether trials are faster in one program than one after another."""
    if len(trials) == 1 or trials[0].config["platform"] == "cpu":
        return False
    import jax  # imported here, because most mistakes are reported without it

    return jax.default_backend() != "cpu"


def is_traced(field: str, value) -> bool:
    """Return whether a config's field, with such a value, may differ within a group."""
    if not any(fnmatchcase(field, pattern) for pattern in TRACED):
        return False
    try:
        number = float(value)  # a head's scale is written "30"
    except (TypeError, ValueError):
        return False
    if field in WHOLE:
        return True
    return not isinstance(value, int) and not (field in OFF_AT_ZERO and number == 0)


def _is_split(config: dict) -> bool:
    """Return whether devices share its classes, which occupies the axis of the runs.

    See `nfml_jax.training.sharding`.
    """
    return str(config.get("head", {}).get("summation")).startswith("sharded")


def _program(config: dict) -> str:
    """Return what decides the program: the config without its traced values."""
    fields = flatten(config).items()
    left = {name: "traced" if is_traced(name, v) else [v] for name, v in fields}
    return json.dumps(left, sort_keys=True)
