"""The training loop, written once for every experiment, for one run or several.

Resume rule: a finished run directory is left as it is; otherwise training goes on from
its newest whole checkpoint, or begins at step 0. What is drawn, and which batch comes,
depends on the seed and the step alone, so the resumed run is the uninterrupted one.
"""

import contextlib
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from nfml_jax.training.checks import check_config, find_devices
from nfml_jax.training.cost import Counted
from nfml_jax.training.experiment import Experiment
from nfml_jax.training.failures import explained
from nfml_jax.training.interrupts import Interrupts
from nfml_jax.training.pace import Dispatches
from nfml_jax.training.processes import (
    alone,
    check_same,
    is_first,
    largest,
    own_devices,
    together,
)
from nfml_jax.training.profiling import Span, Tracer
from nfml_jax.training.rates import Clock
from nfml_jax.training.run import Outcome, Run
from nfml_jax.training.run_directory import RunDirectory
from nfml_jax.training.setup import Setup
from nfml_jax.training.step import TrainState
from nfml_jax.training.terminal import Terminal, silent


def train_and_evaluate(
    make_experiment: Callable[[dict], Experiment],
    config: dict,
    workdir: Path | str,
    *,
    terminal: Terminal | None = None,
    profile: Span | None = None,
) -> Outcome:
    """Run the experiment of `config` in `workdir`, from where that stands to the end.

    `config` is a plain nested dict with "seed", "platform", "num_devices", "optimizer"
    and "train" (see configs/defaults/); `make_experiment(config)` gives the rest.
    `profile` names steps to trace. One of several processes does its share of the run.
    Raises UserError for what the user can mend, before anything is trained or written.
    """
    terminal = (terminal or Terminal()) if is_first() else silent()
    check_config(config)
    check_same(config)
    with together():
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
        devices = find_devices(config["platform"], config["num_devices"])
        # What isn't mapped over the mesh (init, parts of the evaluation) runs on one of
        # the devices asked for, too.
        with jax.default_device(own_devices(devices)[0]):
            with together():
                setup = Setup(make_experiment, config, devices)
                if profile:
                    profile.check(setup.schedule.total)
            directory.begin()
            try:
                with Interrupts() as interrupts:
                    clock = Clock(setup.began)
                    with Run(setup, directory, terminal, interrupts, clock) as run:
                        state = run.restore(setup.state())
                        to_the_end(setup, [run], state, interrupts, clock, profile)
                return run.outcome
            except BaseException as problem:
                with contextlib.suppress(OSError):
                    error = f"{type(problem).__name__}: {problem}"
                    directory.status("failed", error=error)
                raise explained(problem, directory.path) from problem


def to_the_end(
    program: Any,
    runs: Sequence[Run],
    state: TrainState,
    interrupts: Interrupts,
    clock: Clock,
    profile: Span | None = None,
) -> None:
    """Train and finish the `runs`, all of them at the step of `state`.

    `program` is the `Setup` of one run, or one of several that offers the same (see
    `nfml_jax.training.vmapped`). How each ended is its `outcome`.
    """
    first, mesh = runs[0].first, runs[0].setup.mesh
    dispatch, flops = None, 0.0
    if first < program.schedule.total:
        arguments = state, np.int32(1), *program.data(first)
        dispatch = Counted(program.dispatch(), mesh, *arguments)
        flops = dispatch.flops / len(runs)
    for run in runs:
        run.begin(flops)
    traced = profile if is_first() else None
    with Tracer(traced, runs[0]) as tracer:
        state = _train(program, dispatch, runs, state, interrupts, clock, tracer)
    for number, run in enumerate(runs):
        run.end()
        if run.outcome is None:
            run.attempt(run.finish, program.part(state, number))
            clock.charge(run)


def _train(program, dispatch, runs, state, interrupts, clock, tracer) -> TrainState:
    """To the last step, unless a stop is wanted or every run has ended; and save."""
    schedule, step = program.schedule, runs[0].first

    def going():
        return [(n, run) for n, run in enumerate(runs) if run.outcome is None]

    def harvest(first, metrics):
        for number, run in going():
            own = {k: v.reshape(len(runs), -1)[number] for k, v in metrics.items()}
            run.attempt(run.log, first, own, dispatches.seconds, dispatches.waited)

    def pause(**what):
        dispatches.drain()
        clock.charge(*(run for _, run in going()))
        for number, run in going():
            run.attempt(run.pause, program.part(state, number), step, **what)
            clock.charge(run)

    def stop_early():
        for number, run in going():
            if step < schedule.total and run.is_enough(step):
                run.attempt(run.stop_early, program.part(state, number))
                clock.charge(run)

    most = program.settings["steps_per_dispatch"]
    wanted = lambda: bool(interrupts.wanted)  # noqa: E731
    agree = None if alone() else largest
    dispatches = Dispatches(dispatch, most, harvest, wanted, agree)
    stop_early()  # resumed, it may have ended before its result was written
    while step < schedule.total and going() and not dispatches.stop:
        if tracer.due(step):
            dispatches.drain()
            tracer.turn(step)
        steps = min(
            dispatches.steps, tracer.next(step, schedule.next_event(step)) - step
        )
        began = time.monotonic()
        data = program.data(step)
        waited = time.monotonic() - began
        with tracer.step(step):
            state = dispatches.run(state, step, steps, *data, waited=waited)
            if tracer.running:
                dispatches.drain()
        step += steps
        evaluate = schedule.due(schedule.evaluate, step)
        save = schedule.due(schedule.checkpoint, step)
        if evaluate or save:
            pause(evaluate=evaluate, save=save)
            stop_early()
    dispatches.drain()
    if dispatches.stop and not interrupts.wanted:
        interrupts.wanted = "another process"
    if any(run.kept < step for _, run in going()):
        pause(evaluate=False, save=True)
    clock.charge(*(run for _, run in going()))
    return state
