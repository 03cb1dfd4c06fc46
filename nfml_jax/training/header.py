"""The header of a run: what a terminal shows before the training."""

import jax

from nfml_jax.distributed.processes import is_single_process
from nfml_jax.ops.units import format_flops
from nfml_jax.runs.provenance import device_description
from nfml_jax.training.setup import Setup


def header(setup: Setup, flops: float) -> dict[str, str]:
    """Return the rows of the header, without that of `flops` a step if it is 0."""
    total, optimizer = setup.schedule.total, setup.settings.optimizer
    epochs = (
        f" ({total / setup.feed.steps_per_epoch:.4g} epochs)"
        if setup.feed.examples
        else ""
    )
    rows = setup.experiment.describe() | {
        "parameters": f"{setup.parameters:,}",
        "training": f"{total:,} steps of {setup.feed.batch_size}{epochs}, "
        f"{optimizer.name}, "
        f"rate {optimizer.learning_rate:g}, {optimizer.schedule}",
        "devices": devices_in_words(setup) + _parts_in_words(setup),
    }
    if flops:
        rows["arithmetic"] = f"{format_flops(flops)} a step"
    return rows


def devices_in_words(setup: Setup) -> str:
    """Return the devices, and the number of processes if there are several."""
    words = device_description(list(setup.mesh.devices.flat))
    if is_single_process():
        return words
    return f"{words} of {jax.process_count()} processes"


def _parts_in_words(setup: Setup) -> str:
    if setup.parts == 1:
        return ""
    rows = setup.feed.batch_size // (setup.mesh.size * setup.parts)
    return f", {setup.parts} parts of {rows} rows on each"
