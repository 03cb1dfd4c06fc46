"""The devices of a run, and the parts of a batch that each of them takes."""

import os

import jax
from jax.sharding import Mesh

from nfml_jax.errors import UserError
from nfml_jax.ops.devices import Device
from nfml_jax.training.settings import RunSettings, TrainSettings

# On a CPU: 16 pictures of 14x14 at width 64 take 0.8 MB a layer.
PART_ROWS = 16


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
    """Return the number of parts into which a device divides its share of a batch.

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
    devices of one thread each. JAX can divide the CPU only before its first use. Later
    calls, as in a sweep within one process, change nothing, and neither do calls under
    XLA_FLAGS that set a number of devices.
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
