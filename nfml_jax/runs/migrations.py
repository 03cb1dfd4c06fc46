"""Migrations of configs of earlier versions to the current fields.

A field that was added later gets the value under which the run is unchanged; a field
that was removed is deleted, or becomes what replaced it. Each change is one line in
`MIGRATIONS`, the oldest first.
"""

import contextlib
import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

# The parameters that decayed when the field was added, whatever the default is now.
DECAYED = ["kernel*", "weights", "proxies", "triangles", "L"]
INTERVALS = ("log", "evaluate", "checkpoint")
# Augmentations that came later; 0 is off.
APPEARANCES = (
    "resolution",
    "blur",
    "light",
    "gamma",
    "contrast",
    "brightness",
    "erase",
    "clean",
)
UCI_SETS = ("red_wine", "white_wine", "parkinsons")


@dataclass(frozen=True)
class Added:
    """A field that was added to configs, with the value that changes nothing.

    Only sections that a config has are filled, and only where `where` holds.
    """

    field: str
    value: Any
    where: Callable[[Mapping], bool] = lambda config: True

    def __call__(self, config: dict) -> None:
        """Add the field to `config`, unless it is there."""
        section, _, name = self.field.rpartition(".")
        fields = config.get(section) if section else config
        if isinstance(fields, dict) and self.where(config):
            fields.setdefault(name, copy.copy(self.value))


@dataclass(frozen=True)
class Removed:
    """A field that was removed from configs where `where` holds; it was empty."""

    field: str
    where: Callable[[Mapping], bool] = lambda config: True

    def __call__(self, config: dict) -> None:
        """Remove the field from `config`, if it is empty."""
        section, name = self.field.split(".")
        values = config.get(section)
        if isinstance(values, dict) and self.where(config) and not values.get(name, 1):
            del values[name]


@dataclass(frozen=True)
class Renamed:
    """A field that has another name in the same section since then."""

    field: str
    name: str

    def __call__(self, config: dict) -> None:
        """Move the value of the field in `config` to its new name, if it is there."""
        section, old = self.field.split(".")
        values = config.get(section)
        if isinstance(values, dict) and old in values:
            values[self.name] = values.pop(old)


@dataclass(frozen=True)
class Off:
    """A field whose value for "off", one of `values`, is None since then."""

    field: str
    values: tuple[Any, ...]

    def __call__(self, config: dict) -> None:
        """Replace the field's value in `config` by None where it means off."""
        section, _, name = self.field.rpartition(".")
        fields = config.get(section) if section else config
        if not isinstance(fields, dict):
            return
        value = fields.get(name)
        if not isinstance(value, bool) and value in self.values:
            fields[name] = None


def _options(config: dict) -> None:
    """Replace `momentum` and `head_multiplier` by options and multipliers.

    A momentum of 0.9 is what every optimizer then known has without options.
    """
    optimizer = config.get("optimizer")
    if not isinstance(optimizer, dict):
        return
    momentum = optimizer.pop("momentum", 0.9)
    name = "b1" if optimizer.get("name") in ("adam", "lamb", "lion") else "momentum"
    optimizer.setdefault("options", {} if momentum == 0.9 else {name: momentum})
    multiplier = optimizer.pop("head_multiplier", 1.0)
    optimizer.setdefault("multipliers", {"head": multiplier})


def _embeddings(config: dict) -> None:
    """Remove the name of a bridge's data, which are always embeddings of a run."""
    data = config.get("data")
    if config.get("experiment") == "bridge" and isinstance(data, dict):
        data.pop("name", None)


def _memory(config: dict) -> None:
    """Replace a flow's `remat` by `memory`."""
    flow = config.get("flow")
    if isinstance(flow, dict) and "remat" in flow:
        flow["memory"] = "remat" if flow.pop("remat") else "keep"


def _no_text(config: dict) -> None:
    """Replace texts without a character, which were options that aren't given."""
    data = config.get("data")
    if isinstance(data, dict):
        data.update({name: None for name, value in data.items() if value == ""})


def _scale(config: dict) -> None:
    """Replace a scale that is a number in a text by the number."""
    head = config.get("head")
    if isinstance(head, dict) and isinstance(head.get("scale"), str):
        with contextlib.suppress(ValueError):
            head["scale"] = float(head["scale"])


def _own_defaults(config: dict) -> None:
    """Remove empty fields of a metric's loss, which stood for the loss's defaults."""
    loss = config.get("loss")
    if isinstance(loss, dict):
        for name in [name for name, value in loss.items() if value == ""]:
            del loss[name]


def _has_linear_part(config: Mapping) -> bool:
    return "linear" in config.get("encoder", {})


def _has_images(config: Mapping) -> bool:
    return config.get("experiment") in ("margin", "pairs")


def _has_pixels(config: Mapping) -> bool:
    return config.get("experiment") == "images"


def _bounds_scales(config: Mapping) -> bool:
    """Return True for a flow of images by a recipe that bounds log-scales."""
    recipe = config.get("flow", {}).get("recipe")
    return _has_pixels(config) and recipe in ("glow", "realnvp", "maf", "flowpp")


def _is_uci(config: Mapping) -> bool:
    return config["data"].get("name") in UCI_SETS


MIGRATIONS = (
    Added("train.patience", ""),
    _options,
    Added("optimizer.decay", DECAYED),
    Added("data.without", "", where=_has_images),
    *(Removed(f"data.{name}", where=_is_uci) for name in ("columns", "path")),
    _embeddings,
    Renamed("data.standardise", "standardize"),
    Renamed("loss.normalise", "normalize"),
    Renamed("objective.normalise", "normalize"),
    Renamed("objective.centres", "centers"),
    Renamed("head.subcentres", "subcenters"),
    _memory,
    *(Added(f"augment.{name}", 0.0, where=_has_images) for name in APPEARANCES),
    Added("encoder.mirror", False, where=_has_linear_part),
    Added("baselines", True, where=_has_images),
    Added("cpu_devices", 1),
    *(Off(name, (0,)) for name in ("cpu_devices", "num_devices", "train.accumulate")),
    *(Off(f"optimizer.{name}", (0,)) for name in ("weight_decay", "clip_norm")),
    Off("train.average_decay", (0,)),
    Off("train.patience", ("",)),
    *(Off(name, (0,)) for name in ("sampler.per_class", "annealing.steps")),
    Off("metric.rank", (0,)),
    _no_text,
    *(Off(f"data.{name}", (0,)) for name in ("max_train", "max_test", "components")),
    _scale,
    _own_defaults,
    Off("optimizer.warmup", ("never",)),
    *(Off(f"train.{part}_every", ("never",)) for part in INTERVALS),
    Added("noise.masked", False),
    Added("class_conditional", False, where=_has_pixels),
    Added("flow.max_log_scale", 5.0, where=_bounds_scales),
    Added("data.sum_blocks", None, where=_has_pixels),
)


def up_to_date(config: Mapping) -> dict:
    """Return a config of any earlier version with the current fields.

    >>> up_to_date({"name": "a", "train": {"total": "6 steps"}})["train"]
    {'total': '6 steps', 'patience': None}
    """
    config = copy.deepcopy(dict(config))
    for migration in MIGRATIONS:
        migration(config)
    return config
