"""Checks of a config before anything is built, trained or written."""

import math
import os
from collections.abc import Callable, Mapping
from functools import partial

import jax
from jax.sharding import Mesh

from nfml_jax.data.checks import check_part
from nfml_jax.errors import UserError
from nfml_jax.ops.checks import (
    check_choice,
    check_flag,
    check_integer,
    check_number,
    check_sizes,
    check_text,
)
from nfml_jax.ops.devices import Device
from nfml_jax.training.settings import RunSettings, TrainSettings

# On a CPU: 16 pictures of 14x14 at width 64 take 0.8 MB a layer.
PART_ROWS = 16

SEED = partial(check_integer, low=0, high=2**32 - 1)
COUNT, SIZE = partial(check_integer, low=0), partial(check_integer, low=1)
AT_LEAST_0, ABOVE_0 = partial(check_number, low=0), partial(check_number, above=0)
BELOW_1 = partial(check_number, low=0, below=1)
TEXT, NAME = check_text, partial(check_text, empty=False)
TEXTS = ("source", "manual_dir", "data_dir", "root", "without", "fit", "path", "split")
TEXTS += ("run", "outside", "jitter", "missing", "header")
# Fields that a config may have, among them numbers that are read only after training.
# The remaining fields of a section are checked by the part that is built from it.
FURTHER: dict[str, Callable] = {
    "baselines": check_flag,
    "data.name": NAME,
    "data.seed": SEED,
    "data.max_train": partial(COUNT, optional=True),
    "data.max_test": partial(COUNT, optional=True),
    "data.train": check_part,
    "data.validation": check_part,
    "data.test": check_part,
    "data.channels": partial(check_choice, choices=(1, 3)),
    "data.view": partial(check_choice, choices=(1, 2)),
    "data.test_fraction": partial(check_number, above=0, below=1),
    "data.components": COUNT,
    "data.workers": partial(check_integer, low=0, high=1024),
    "data.fold": COUNT,
    "data.min_images": SIZE,
    "data.crop": partial(check_number, above=0, high=1),
    "data.standardise": check_flag,
    "data.rotations": check_flag,
    "data.stream": check_flag,
    **{f"data.{name}": partial(check_text, optional=True) for name in TEXTS},
    "augment.flip": check_flag,
    "report.samples": SIZE,
    "report.draws": SIZE,
    "report.validation": SIZE,
    "report.chains": SIZE,
    "report.cells": partial(check_integer, low=2, high=10_000),
    "report.identities": partial(check_integer, low=2),
    "report.probes": SIZE,
    "annealing.start": partial(check_number, above=0, high=1),
    "annealing.steps": COUNT,
    "metric.rank": COUNT,
    "one_shot.ways": partial(check_sizes, low=2, least=1),
    "one_shot.shots": partial(check_sizes, low=1, least=1),
    "one_shot.queries": SIZE,
    "one_shot.episodes": SIZE,
    "one_shot.runs": check_flag,
    "sampler.name": NAME,
    "sampler.per_class": COUNT,
}


def check_config(config: dict) -> None:
    """Raise UserError for values that no experiment accepts."""
    for name, check in FURTHER.items():
        section, _, field = name.rpartition(".")
        values = config.get(section, {}) if section else config
        if isinstance(values, Mapping) and field in values:
            check(None, **{name: values[field]})
    for path, value in jax.tree_util.tree_leaves_with_path(config):
        if isinstance(value, float) and not math.isfinite(value):
            name = jax.tree_util.keystr(path, simple=True, separator=".")
            raise UserError(f"{name} = {value} must be a finite number.")


def check_division(settings: TrainSettings, devices: int) -> None:
    """Raise UserError unless a batch gives every device `accumulate` equal parts."""
    batch, parts = settings.batch_size, settings.accumulate or 1
    assert batch is not None  # the data decide on a size that fits
    if batch % (devices * parts):
        raise UserError(
            f"train.batch_size = {batch} cannot be divided into {devices} device(s) × "
            f"train.accumulate = {parts} equal parts; choose a multiple of "
            f"{devices * parts}."
        )


def parts_of_share(settings: TrainSettings, mesh: Mesh) -> int:
    """Return the number of parts that a device processes its share of a batch in.

    `train.accumulate` = None leaves it to the device. A CPU takes parts of at most
    `PART_ROWS` rows, so that a part's activations stay in its cache; others take one.
    """
    if settings.accumulate is not None:
        return settings.accumulate
    if mesh.devices.flat[0].platform != "cpu":
        return 1
    assert settings.batch_size is not None  # `setup.with_batch`
    rows = settings.batch_size // mesh.size
    return next(
        n for n in range(1, rows + 1) if rows % n == 0 and rows <= n * PART_ROWS
    )


def check_accumulation(settings: TrainSettings, whole_batch: bool) -> None:
    """Raise UserError if a loss of the whole batch would be accumulated in parts."""
    if whole_batch and (settings.accumulate or 1) > 1:
        raise UserError(
            f"train.accumulate = {settings.accumulate} would train another "
            "objective: this loss compares the rows of a batch with each other, and "
            "rows in different parts would never meet; set train.accumulate = 1, and "
            "to save memory objective.chunk or a smaller train.batch_size."
        )


def divide_cpu(count: int | None) -> None:
    """Divide the CPU into `count` devices of XLA; None means one for each core.

    Narrow convolutions, whose small operations do not share threads, train faster on
    devices of one thread each. JAX divides the CPU only before its first use: later
    calls, as in a sweep within one process, leave the devices that there are. So do
    XLA_FLAGS that name a number of devices.
    """
    if "xla_force_host_platform_device_count" in os.environ.get("XLA_FLAGS", ""):
        return
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0
    try:
        jax.config.update("jax_num_cpu_devices", count or cores or os.cpu_count() or 1)
    except RuntimeError:  # the devices are in use
        return


def find_devices(settings: RunSettings) -> list[Device]:
    """Return the devices that a run asks for; `num_devices` None means all there are.

    A CPU is divided into `cpu_devices` before, see `divide_cpu`. Raises UserError if
    the devices do not exist, or if the environment's JAX_PLATFORMS hides them.
    """
    platform, count = settings.platform, settings.num_devices
    if settings.cpu_devices != 1:
        divide_cpu(settings.cpu_devices)
    # JAX fails an assertion when JAX_PLATFORMS names a platform that is absent.
    missing = (RuntimeError, AssertionError)
    try:
        devices = jax.devices(None if platform == "auto" else platform)
    except missing:
        hidden = os.environ.get("JAX_PLATFORMS")
        hint = f"JAX_PLATFORMS = {hidden!r} may hide it: unset that, " if hidden else ""
        try:
            there = ", ".join(sorted({d.platform for d in jax.devices()}))
        except missing:
            raise UserError(
                f"JAX finds no device for JAX_PLATFORMS = {hidden!r}; unset it, set it "
                "to what this machine has (cpu), or install the jax that drives it."
            ) from None
        raise UserError(
            f"platform = {platform!r} is not on this machine (there is: {there}); "
            f"{hint}use platform='auto', or install the jax that drives it."
        ) from None
    if count is not None and count > len(devices):
        raise UserError(
            f"num_devices = {count}, but there are {len(devices)} of platform "
            f"{devices[0].platform!r}; give None for all."
        )
    if jax.process_count() > 1 and count not in (None, len(devices)):
        raise UserError(
            f"num_devices = {count}, but {jax.process_count()} processes share "
            f"{len(devices)} devices, all of them; give None."
        )
    return devices[:count]
