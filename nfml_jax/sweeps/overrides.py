"""Sweeps: lists of overrides made by four pure functions, and the trials they name.

An override is a dict from a config's dotted fields to values. A value for a whole
section, as `{"flow": {"recipe": "maf", "layers": 5}}`, replaces the section.

    product(param("head.margin", 0.3, 0.5), param("seed", 0, 1, 2))  # six trials
"""

import copy
import hashlib
import itertools
import json
import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from nfml_jax.errors import UserError
from nfml_jax.ops.names import did_you_mean, flatten

Override = dict[str, Any]
Sweep = list[Override]

LONGEST_ID = 60
MOST_TRIALS = 100_000
OPEN = ("optimizer.options", "optimizer.multipliers")
"""Sections that a sweep or a command line may give further fields."""
# Types that a person may write besides a field's own.
ALSO = {float: (int,), tuple: (list,), list: (tuple,)}


def param(name: str, *values) -> Sweep:
    """Return one trial for each value of a field, or of a section."""
    return [{name: value} for value in values]


def product(*sweeps: Sweep) -> Sweep:
    """Combine every trial of the first sweep with every trial of the others."""
    check_count(math.prod(map(len, sweeps)), "product")
    return [_joined(parts) for parts in itertools.product(*sweeps)]


def zip_(*sweeps: Sweep) -> Sweep:
    """Combine the first trials of all sweeps, then the second ones, and so on."""
    if len({len(sweep) for sweep in sweeps}) > 1:
        raise UserError(
            f"zip_ was given sweeps of {', '.join(str(len(s)) for s in sweeps)} "
            "trials; give it equally many of each."
        )
    return [_joined(parts) for parts in zip(*sweeps, strict=True)]


def chain(*sweeps: Sweep) -> Sweep:
    """Return the trials of the first sweep, then those of the second, and so on."""
    return [override for sweep in sweeps for override in sweep]


def check_count(trials: int, what: str) -> None:
    """Raise UserError for more trials than a sweep may have."""
    if trials > MOST_TRIALS:
        raise UserError(
            f"the sweep has {trials:,} trials by {what!r}; a sweep has at most "
            f"{MOST_TRIALS:,}, so give fewer values."
        )


def _joined(parts: Sequence[Override]) -> Override:
    """Return one override of all parts; UserError if two of them set the same field."""
    joined: Override = {}
    for part in parts:
        for name in part:
            for other in joined:
                if f"{name}.".startswith(f"{other}.") or other.startswith(f"{name}."):
                    raise UserError(
                        f"a sweep sets {other!r} and {name!r} in one trial; chain the "
                        "two, or leave one of them out."
                    )
        joined |= part
    return joined


@dataclass(frozen=True)
class Trial:
    """One run of a sweep: its overrides, and the whole config."""

    override: Override
    config: dict

    @property
    def id(self) -> str:
        """A name for the run directory, the same wherever the config is the same."""
        words = [str(v) for v in self.override.values() if not isinstance(v, Mapping)]
        words = re.sub(r"[^\w.=-]+", "_", "-".join(words))[:LONGEST_ID]
        return "-".join(filter(None, [words, self.digest]))

    def words(self) -> str:
        """Return the overrides as a person would write them."""
        return " ".join(f"{name}={value!r}" for name, value in self.override.items())

    @property
    def digest(self) -> str:
        text = json.dumps(self.config, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:8]


def make_trials(
    config: dict, sweep: Sweep, any_type: Collection[str] = ()
) -> list[Trial]:
    """Return the trials of a sweep over `config`.

    `any_type` has the dotted fields that take values of several types, as in `overlay`.

    Raises UserError for a sweep without trials, for a field that the config lacks, for
    a value of another type, and for two trials of the same config.
    """
    if not isinstance(sweep, list) or not all(isinstance(o, dict) for o in sweep):
        raise UserError(
            f"a sweep is {sweep!r}; expected a list of overrides, such as "
            "param('seed', 0, 1, 2)."
        )
    if not sweep:
        raise UserError("the sweep has no trials; give it at least one override.")
    trials: dict[str, Trial] = {}
    for number, override in enumerate(sweep, start=1):
        trial = Trial(dict(override), overlay(config, override, any_type))
        if trial.digest in trials:
            earlier = list(trials).index(trial.digest) + 1
            raise UserError(
                f"trial {number} of the sweep ({trial.words()}) is the same run as "
                f"trial {earlier}; leave one of them out."
            )
        trials[trial.digest] = trial
    return list(trials.values())


def overlay(config: dict, override: Override, any_type: Collection[str] = ()) -> dict:
    """Return a copy of the nested `config` with the override's values, checked.

    A value has the type of the one that it replaces. The settings of the section check
    the fields in `any_type`, such as a scale that is a number or "learned".
    """
    config = copy.deepcopy(config)
    for name, value in override.items():
        *path, last = name.split(".")
        section: Any = config
        for part in path:
            section = section.get(part) if isinstance(section, Mapping) else None
        if isinstance(section, dict) and last not in section and is_open(name):
            section[last] = value
            continue
        if not (isinstance(section, Mapping) and last in section):
            raise no_field(config, name)
        there = section[last]
        if there is None or value is None or name in any_type:
            # The section's settings know which types fit.
            cast(dict, section)[last] = value
            continue
        if type(value) not in (type(there), *ALSO.get(type(there), ())):
            raise UserError(
                f"{name} = {value!r} is not {kind_in_words(type(there))}; the "
                f"config has {there!r}."
            )
        cast(dict, section)[last] = type(there)(value)
    return config


def is_open(name: str) -> bool:
    """Return whether a section may get a new field, whose name is checked later.

    >>> is_open("optimizer.options.b2"), is_open("optimizer.b2")
    (True, False)
    """
    section, _, field = name.rpartition(".")
    return section in OPEN and bool(field)


def no_field(config: Mapping, name: str) -> UserError:
    """Return the message about a dotted name that `config` lacks."""
    fields = list(flatten(config))
    section = name.split(".")[0]
    near = [field for field in fields if field.split(".")[0] == section]
    kind, known = ("fields", near) if near else ("sections", list(config))
    # Two fields of one section begin alike, however they continue.
    guess = did_you_mean(name, fields, alike=0.75)
    sentence = (
        f"the config has no field {name!r}{guess}; its {kind} are {', '.join(known)}"
    )
    if f"{section}.name" in near:
        part = config[section]["name"]
        options = f"{section}.options"
        place = f"is in {options}" if options in OPEN else "is set in the config's file"
        sentence += f", and what else {part!r} takes {place}"
    return UserError(f"{sentence}.")


def kind_in_words(kind: type) -> str:
    """Return the words for a type in a sentence."""
    words = {int: "an integer", float: "a number", str: "a string", dict: "a dict"}
    words |= {bool: "true or false", type(None): "none"}
    return words.get(kind, f"a {kind.__name__}")
