"""The opening of a run: its checkpoints, its log, and the state that it starts from."""

import contextlib
from functools import partial

from nfml_jax.distributed.interrupts import Interrupts
from nfml_jax.distributed.processes import is_first
from nfml_jax.runs.run_directory import RunDirectory
from nfml_jax.runs.trackers import open_trackers
from nfml_jax.runs.writers import NoWriter, RunWriter
from nfml_jax.terminal.terminal import Terminal
from nfml_jax.training.checkpoints import Checkpoints
from nfml_jax.training.rates import Clock
from nfml_jax.training.run import Run
from nfml_jax.training.same_data import check_same_data
from nfml_jax.training.setup import Setup
from nfml_jax.training.step import TrainState


def open_run(
    setup: Setup,
    directory: RunDirectory,
    terminal: Terminal,
    interrupts: Interrupts,
    clock: Clock,
    group: dict | None = None,
) -> tuple[Run, TrainState]:
    """Return the run, and the state of its newest checkpoint or that of step 0."""
    path = directory.path
    with contextlib.ExitStack() as opened:
        saved = opened.enter_context(
            Checkpoints(path / "checkpoints", best=setup.experiment.best, write=True)
        )
        initial = setup.state()
        check = partial(check_same_data, setup.experiment, run_dir=path)
        state, meta = saved.restore(initial, check) or (initial, {})
        first = int(state.step)
        directory.status("running", first)
        writer = NoWriter()
        if is_first():
            lines = meta.get("lines", 0)
            trackers = open_trackers(path, setup.config)
            writer = RunWriter(path, first_step=first, lines=lines, trackers=trackers)
        opened.enter_context(writer)
        run = Run(
            setup,
            directory,
            terminal,
            interrupts,
            clock,
            group,
            saved=saved,
            writer=writer,
            first=first,
            meta=meta,
            opened=opened.pop_all(),
        )
    return run, state
