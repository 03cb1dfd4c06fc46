"""What can be known to be wrong before anything is built, trained or written."""

import math
import os

import jax

from nfml_jax.errors import UserError


def check_config(config: dict) -> None:
    """Raise UserError for numbers that no run can take."""
    for path, value in jax.tree_util.tree_leaves_with_path(config):
        name = jax.tree_util.keystr(path, simple=True, separator=".")
        if isinstance(value, float) and not math.isfinite(value):
            raise UserError(f"{name} = {value} must be a finite number.")
        if name.split(".")[-1] == "seed" and not (
            isinstance(value, int) and 0 <= value < 2**32
        ):
            raise UserError(
                f"{name} = {value!r} must be a whole number from 0 to 2**32 - 1."
            )
    settings = config["train"]
    if settings["steps_per_dispatch"] < 1:
        raise UserError(
            f"train.steps_per_dispatch = {settings['steps_per_dispatch']} must be at "
            "least 1."
        )
    if settings["report"] not in ("last", "best"):
        raise UserError(
            f"train.report = {settings['report']!r} is not known; choose 'last' or "
            "'best'."
        )
    if not 0 <= settings["average_decay"] < 1:
        raise UserError(
            f"train.average_decay = {settings['average_decay']} must lie in [0, 1); "
            "0 turns the average off."
        )


def check_division(settings: dict, devices: int) -> None:
    """Raise UserError unless a batch gives every device `accumulate` equal parts."""
    batch, parts = settings["batch_size"], settings["accumulate"]
    if parts < 1 or batch < 1 or batch % (devices * parts):
        raise UserError(
            f"train.batch_size = {batch} cannot be divided into {devices} device(s) × "
            f"train.accumulate = {parts} equal parts; choose a multiple of "
            f"{devices * max(parts, 1)}."
        )


def check_accumulation(settings: dict, whole_batch: bool) -> None:
    """Raise UserError for a loss of the whole batch that is taken in parts."""
    if whole_batch and settings["accumulate"] != 1:
        raise UserError(
            f"train.accumulate = {settings['accumulate']} would train another "
            "objective: this loss compares the rows of a batch with each other, and "
            "rows in different parts would never meet; set train.accumulate = 1, and "
            "to save memory objective.chunk or a smaller train.batch_size."
        )


def find_devices(platform: str, count: int) -> list[jax.Device]:
    """The devices asked for; `count` 0 is all there are.

    UserError if they aren't there, or the environment's JAX_PLATFORMS hides them.
    """
    # JAX asserts that it found something, where JAX_PLATFORMS names what isn't there.
    missing = (RuntimeError, AssertionError)
    try:
        devices = jax.devices(None if platform == "auto" else platform)
    except missing:
        wish = os.environ.get("JAX_PLATFORMS")
        hint = f"JAX_PLATFORMS = {wish!r} may hide it: unset that, " if wish else ""
        try:
            there = ", ".join(sorted({d.platform for d in jax.devices()}))
        except missing:
            raise UserError(
                f"JAX finds no device for JAX_PLATFORMS = {wish!r}; unset it, set it "
                "to what this machine has (cpu), or install the jax that drives it."
            ) from None
        raise UserError(
            f"platform = {platform!r} is not on this machine (there is: {there}); "
            f"{hint}use platform='auto', or install the jax that drives it."
        ) from None
    if not 0 <= count <= len(devices):
        raise UserError(
            f"num_devices = {count}, but there are {len(devices)} of platform "
            f"{devices[0].platform!r}; give 0 for all."
        )
    if jax.process_count() > 1 and count not in (0, len(devices)):
        raise UserError(
            f"num_devices = {count}, but {jax.process_count()} processes share "
            f"{len(devices)} devices, all of them; give 0."
        )
    return devices[: count or None]
