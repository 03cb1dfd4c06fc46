"""Options of orbax: which checkpoints are retained, and by which processes."""

import contextlib
import logging
import sys
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import jax
import orbax.checkpoint as ocp
from orbax.checkpoint import checkpoint_managers
from orbax.checkpoint.path import step as step_names

from nfml_jax.distributed.processes import is_single_process
from nfml_jax.training.integrity import DAMAGE, first_line

KEEP_LATEST = 2


def reading() -> ocp.CheckpointManagerOptions:
    """Return the options of a read-only manager in a single process."""
    # These are orbax's own choices of both; if left out, each gives a warning.
    return ocp.CheckpointManagerOptions(
        read_only=True,
        create=False,
        step_name_format=_Listable(),
        save_interval_steps=0,
        multiprocessing_options=_by_itself(),
    )


def keeping(
    best_of: Callable[[Iterable[int]], int | None],
) -> ocp.CheckpointManagerOptions:
    """Return the options of a writer that keeps the latest steps and the best one."""
    return ocp.CheckpointManagerOptions(
        cleanup_tmp_directories=True,
        preservation_policy=_LatestAndBest(best_of),
        step_name_format=_Listable(),
    )


def not_listed(directory: Path) -> dict[int, str]:
    """Return the damage that keeps a manager from listing a checkpoint, by its step."""
    if not directory.is_dir():
        return {}
    steps = {found.step: _problem(found) for found in STANDARD.find_all(directory)}
    return {step: problem for step, problem in steps.items() if problem}


@contextlib.contextmanager
def without_absl_warnings():
    """Suppress orbax's warning that a folder opened for reading is read-only."""
    logger = logging.getLogger("absl")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


class RaisedAlone:
    """A context in which errors of saving are raised and not also printed.

    Orbax logs each of them with a traceback for every thread that it passes through,
    asyncio one for each array that failed beside the first, whenever it is collected,
    and tensorstore one for an event loop that such an error has closed. The context
    stays active after an error, since threads of the same save end later.
    """

    _opened = 0
    _hook: Callable | None = None

    def __enter__(self):
        kind = type(self)
        if not kind._opened:
            for logger in LOGGERS:
                logging.getLogger(logger).addFilter(_is_of_others)
            kind._hook, sys.unraisablehook = sys.unraisablehook, _print_of_others
        kind._opened += 1

    def __exit__(self, problem, *_):
        kind = type(self)
        kind._opened -= problem is None
        if not kind._opened:
            for logger in LOGGERS:
                logging.getLogger(logger).removeFilter(_is_of_others)
            if sys.unraisablehook is _print_of_others:
                sys.unraisablehook = kind._hook


LOGGERS = "absl", "asyncio"


def _is_of_others(record: logging.LogRecord) -> bool:
    """Return False for an error that orbax logged or raised, True for other records."""
    if not record.exc_info:
        return True
    frames = traceback.extract_tb(record.exc_info[2])
    files = [record.pathname, *(frame.filename for frame in frames)]
    return not any("orbax" in Path(file).parts for file in files)


def _print_of_others(unraisable) -> None:
    problem = unraisable.exc_value
    if not (isinstance(problem, RuntimeError) and "Event loop is" in str(problem)):
        hook = RaisedAlone._hook
        assert hook is not None  # there is one while this function is the hook
        hook(unraisable)


def _by_itself() -> ocp.options.MultiprocessingOptions:
    """Return options of a single process, which doesn't wait for others."""
    if is_single_process():
        return ocp.options.MultiprocessingOptions()
    this = jax.process_index()
    return ocp.options.MultiprocessingOptions(
        primary_host=this, active_processes={this}, barrier_sync_key_prefix=f"{this}"
    )


STANDARD = step_names.standard_name_format()


def _problem(found: step_names.Metadata) -> str | None:
    """Return why the times of a checkpoint can't be read, or None if they can.

    Orbax itself passes over text that is no JSON.
    """
    try:
        found.commit_timestamp  # noqa: B018  (reading it is the test)
    except DAMAGE as problem:
        return f"its _CHECKPOINT_METADATA: {first_line(problem)}"
    return None


@dataclass(frozen=True)
class _Listable(step_names.NameFormat[step_names.Metadata]):
    """Orbax's names of checkpoints, without damaged ones, which stop a listing."""

    def build_name(self, step):
        return STANDARD.build_name(step)

    def find_all(self, base_path):
        return (found for found in STANDARD.find_all(base_path) if not _problem(found))

    def find_step(self, base_path, step):
        return STANDARD.find_step(base_path, step)


@dataclass
class _LatestAndBest(checkpoint_managers.PreservationPolicy):
    """The policy that keeps the latest and the best; orbax's own loses earlier metrics.

    In a resumed run, orbax's policy does not know the metrics of earlier processes.
    """

    best_of: Callable[[Iterable[int]], int | None]

    def should_preserve(self, checkpoints, *, context):
        steps = [checkpoint.step for checkpoint in checkpoints]
        kept = {*sorted(steps)[-KEEP_LATEST:], self.best_of(steps)}
        return [step in kept for step in steps]
