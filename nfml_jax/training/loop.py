"""The training loop of every experiment, for one run or several in one program.

The way of a batch: `Setup.data` gives a dispatch its data, `nfml_jax.training.step`
takes the batch of each step from it and makes an optimizer step, and
`nfml_jax.training.sharding` maps that over the devices. The loop here dispatches
several steps at a time, logs their metrics, and pauses to validate and to save.

Resuming: a finished run directory is left as it is; otherwise training goes on from its
newest intact checkpoint, or begins at step 0. Random numbers and batches depend on seed
and step alone, so a resumed run equals the uninterrupted one.
"""

import contextlib
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import jax
import numpy as np
from jax.sharding import Mesh

from nfml_jax.distributed.interrupts import Interrupts
from nfml_jax.distributed.processes import (
    check_same,
    is_first,
    is_single_process,
    local_devices,
    max_over_processes,
    raise_in_all,
)
from nfml_jax.ops.broadcasting import broadcasting
from nfml_jax.runs.run_directory import RunDirectory
from nfml_jax.terminal.terminal import Terminal, silent
from nfml_jax.training.cost import Counted
from nfml_jax.training.devices import find_devices
from nfml_jax.training.durations import Schedule
from nfml_jax.training.endings import Outcome
from nfml_jax.training.experiment import Experiment
from nfml_jax.training.failures import explained
from nfml_jax.training.opening import open_run
from nfml_jax.training.pace import Dispatches
from nfml_jax.training.profiling import Span, Tracer
from nfml_jax.training.rates import Clock
from nfml_jax.training.run import Run
from nfml_jax.training.settings import RunSettings
from nfml_jax.training.setup import Setup
from nfml_jax.training.step import TrainState

PyTree = Any


@broadcasting
def train_and_evaluate(
    make_experiment: Callable[[dict], Experiment],
    config: dict,
    workdir: Path | str,
    *,
    terminal: Terminal | None = None,
    profile: Span | None = None,
) -> Outcome:
    """Run the experiment of `config` in `workdir`, or resume it there.

    Args:
      make_experiment: the function that makes an experiment from a config.
      config: a plain nested dict with "seed", "platform", "num_devices", "optimizer"
        and "train" (see configs/defaults/), and what the experiment reads.
      workdir: the run directory.
      terminal: the terminal to write to; stdout by default.
      profile: steps to trace.

    In one of several processes, the process does its share of the run. Raises
    UserError for a mistake in the config, before anything is trained or written.
    """
    terminal = (terminal or Terminal()) if is_first() else silent()
    settings = RunSettings.of(config)
    check_same(config)
    with raise_in_all():
        directory = RunDirectory(workdir, config, writes=is_first())
    with directory:
        finished = directory.result()
        if finished is not None:
            terminal.note(
                f"This run is finished ({finished['steps']} steps); nothing to do. "
                "Remove result.json to evaluate again, or give another --workdir."
            )
            terminal.summary("Result", finished["metrics"])
            terminal.results({"run directory": directory.path})
            return Outcome("done", finished["steps"], finished)
        devices = find_devices(settings)
        # What isn't mapped over the mesh (init, parts of the evaluation) must run on
        # one of the chosen devices, too.
        with jax.default_device(local_devices(devices)[0]):
            with raise_in_all():
                setup = Setup(make_experiment, config, devices)
                if profile:
                    profile.check(setup.schedule.total)
            directory.begin()
            try:
                with Interrupts() as interrupts:
                    clock = Clock(setup.began)
                    run, state = open_run(setup, directory, terminal, interrupts, clock)
                    with run:
                        parts = [run], state, interrupts, clock, profile
                        train_to_the_end(setup, *parts)
                assert run.outcome is not None  # a run that has ended has one
                return run.outcome
            except BaseException as problem:
                with contextlib.suppress(OSError):
                    error = f"{type(problem).__name__}: {problem}"
                    directory.status("failed", error=error)
                raise explained(problem, directory.path) from problem


class Program(Protocol):
    """The contract of what the loop drives: one run, or several in one program.

    `nfml_jax.training.setup.Setup` is the program of one run. States and metrics of
    several runs have a leading axis, which `part` indexes.
    """

    schedule: Schedule
    settings: RunSettings
    mesh: Mesh

    def dispatch(self) -> Callable:
        """Return the compiled steps, `(state, steps, *data) -> (state, metrics)`."""
        ...

    def data(self, step: int) -> tuple[PyTree, PyTree]:
        """Return the data of a dispatch that starts at `step`."""
        ...

    def part(self, tree: PyTree, number: int) -> PyTree:
        """Return the part of a state or of metrics that belongs to run `number`."""
        ...


def train_to_the_end(
    program: Program,
    runs: Sequence[Run],
    state: TrainState,
    interrupts: Interrupts,
    clock: Clock,
    profile: Span | None = None,
) -> None:
    """Train and finish the `runs` of a program, all of them at the step of `state`.

    Each run's `outcome` says how it ended.
    """
    first = runs[0].first
    dispatch, flops = None, 0.0
    if first < program.schedule.total:
        arguments = state, np.int32(1), *program.data(first)
        dispatch = Counted(program.dispatch(), program.mesh, *arguments)
        flops = dispatch.flops / len(runs)
    for run in runs:
        run.begin(flops)
    with Tracer(profile if is_first() else None, runs[0]) as tracer:
        training = _Training(program, dispatch, runs, interrupts, clock, tracer)
        state = training.train(state)
    for number, run in enumerate(runs):
        run.end()
        if run.outcome is None:
            run.attempt(run.finish, program.part(state, number))
            clock.account(run)


class _Training:
    """The steps of a program, from the first of its runs' to the last."""

    def __init__(self, program, dispatch, runs, interrupts, clock, tracer):
        self.program, self.runs, self.schedule = program, runs, program.schedule
        self.interrupts, self.clock, self.tracer = interrupts, clock, tracer
        self.step = runs[0].first
        self.dispatches = Dispatches(
            dispatch,
            program.settings.train.steps_per_dispatch,
            self.log,
            lambda: bool(interrupts.requested),
            None if is_single_process() else max_over_processes,
        )

    def going(self) -> list[tuple[int, Run]]:
        """Return the number and the run of each that has not ended."""
        return [(n, run) for n, run in enumerate(self.runs) if run.outcome is None]

    def train(self, state: TrainState) -> TrainState:
        """Train to the last step, a stop request, or the end of every run; and save."""
        schedule, dispatches = self.schedule, self.dispatches
        self.stop_early(state)  # resumed, a run may have ended before its result
        while self.step < schedule.total and self.going() and not dispatches.stop:
            state = self.advance(state)
            evaluate = schedule.due(schedule.evaluate, self.step)
            save = schedule.due(schedule.checkpoint, self.step)
            if evaluate or save:
                self.pause(state, evaluate=evaluate, save=save)
                self.stop_early(state)
        dispatches.drain()
        if dispatches.stop and not self.interrupts.requested:
            self.interrupts.requested = "another process"
        if any(run.saved_step < self.step for _, run in self.going()):
            self.pause(state, evaluate=False, save=True)
        self.clock.account(*(run for _, run in self.going()))
        return state

    def advance(self, state: TrainState) -> TrainState:
        """Dispatch steps up to the next event of the schedule or of the tracer."""
        step, tracer = self.step, self.tracer
        if tracer.due(step):
            self.dispatches.drain()
            tracer.turn(step)
        last = tracer.next(step, self.schedule.next_event(step))
        steps = min(self.dispatches.steps, last - step)
        began = time.monotonic()
        data = self.program.data(step)
        waited = time.monotonic() - began
        with tracer.step(step):
            state = self.dispatches.run(state, step, steps, *data, waited=waited)
            if tracer.running:
                self.dispatches.drain()
        self.step += steps
        return state

    def log(self, first: int, metrics: dict) -> None:
        """Give each run its part of the metrics of consecutive steps from `first`."""
        for number, run in self.going():
            own = {k: v.reshape(len(self.runs), -1)[number] for k, v in metrics.items()}
            times = self.dispatches.seconds, self.dispatches.waited
            run.attempt(run.log, first, own, *times)

    def pause(self, state: TrainState, *, evaluate: bool, save: bool) -> None:
        """Let each run validate and save."""
        self.dispatches.drain()
        self.clock.account(*(run for _, run in self.going()))
        for number, run in self.going():
            own = self.program.part(state, number)
            run.attempt(run.pause, own, self.step, evaluate=evaluate, save=save)
            self.clock.account(run)

    def stop_early(self, state: TrainState) -> None:
        """End each run without improvement for long enough, or that a search prunes."""
        if self.step >= self.schedule.total:
            return
        for number, run in self.going():
            if run.is_enough(self.step):
                run.attempt(run.stop_early, self.program.part(state, number))
                self.clock.account(run)
            elif run.is_pruned():
                run.attempt(run.prune, self.step)
                self.clock.account(run)
