"""Groups of trials that run as one program, because they differ in numbers alone.

A field is traced if a step can take it as an array: it changes no shape, no branch and
no data. Settings, margins, heads and losses declare their traced fields themselves, by
`nfml_jax.ops.fields.traced`. Everything else in a config decides what is compiled.
"""

import json
from collections.abc import Mapping, Sequence

from nfml_jax.errors import UserError
from nfml_jax.ops.names import flatten
from nfml_jax.ops.settings import traced_names
from nfml_jax.sweeps.overrides import Trial

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
        config, alone = (
            trial.config,
            mode == "auto" and trial.config.get("platform") == "cpu",
        )
        key = trial.id if alone or _is_split(config) else _program(config)
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


def traced_fields(config: Mapping) -> frozenset[str]:
    """Return the dotted fields of a config that a program may take as inputs."""
    # Imported here, because most mistakes are answered without JAX.
    from nfml_jax import heads, losses, variational
    from nfml_jax.training.settings import RunSettings

    rooms = {
        "head": (heads.traced_options,),
        "objective": (losses.traced_options, variational.traced_options),
    }
    declared = {
        f"{section}.{option}"
        for section, found in rooms.items()
        for options in found
        for option in options(config.get(section) or {})
    }
    return traced_names(RunSettings) | declared


def is_number(field: str, value) -> bool:
    """Return whether the value of a traced field may differ within a group."""
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    if field in WHOLE:
        return True
    return not isinstance(value, int)


def _is_split(config: dict) -> bool:
    """Return whether devices share the head's classes: such runs cannot be one program.

    See `nfml_jax.training.sharding`.
    """
    return str(config.get("head", {}).get("summation")).startswith("sharded")


def _program(config: dict) -> str:
    """Return a text that is equal for configs that differ in traced values alone."""
    traced = traced_fields(config)
    left = {
        name: "traced" if name in traced and is_number(name, value) else [value]
        for name, value in flatten(config).items()
    }
    return json.dumps(left, sort_keys=True)
