"""How orbax is to keep checkpoints: which of them, and by which processes."""

import contextlib
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import jax
import orbax.checkpoint as ocp
from orbax.checkpoint import checkpoint_managers

from nfml_jax.training.processes import alone

KEEP_LATEST = 2


def reading() -> ocp.CheckpointManagerOptions:
    """For who reads, and reads alone."""
    # `create` and `save_interval_steps` as orbax would set them, with a warning each.
    return ocp.CheckpointManagerOptions(
        read_only=True,
        create=False,
        save_interval_steps=0,
        multiprocessing_options=_by_itself(),
    )


def keeping(
    best_of: Callable[[Iterable[int]], int | None],
) -> ocp.CheckpointManagerOptions:
    """For who writes: the latest are kept, and of all steps the `best_of` them."""
    return ocp.CheckpointManagerOptions(
        cleanup_tmp_directories=True, preservation_policy=_LatestAndBest(best_of)
    )


@contextlib.contextmanager
def without_absl_warnings():
    """Orbax warns that a folder opened for reading is opened for reading."""
    logger = logging.getLogger("absl")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _by_itself() -> ocp.options.MultiprocessingOptions:
    """Of several processes this one alone, without awaiting the others."""
    if alone():
        return ocp.options.MultiprocessingOptions()
    this = jax.process_index()
    return ocp.options.MultiprocessingOptions(
        primary_host=this, active_processes={this}, barrier_sync_key_prefix=f"{this}"
    )


@dataclass
class _LatestAndBest(checkpoint_managers.PreservationPolicy):
    """Orbax's own forgets, in a resumed run, the metrics of earlier processes."""

    best_of: Callable[[Iterable[int]], int | None]

    def should_preserve(self, checkpoints, *, context):
        steps = [checkpoint.step for checkpoint in checkpoints]
        kept = {*sorted(steps)[-KEEP_LATEST:], self.best_of(steps)}
        return [step in kept for step in steps]
