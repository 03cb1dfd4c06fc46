"""The training loop, written once for every experiment, for one run or several.

Resume rule: a finished run directory is left as it is; otherwise training goes on from
its newest whole checkpoint, or begins at step 0. What is drawn, and which batch comes,
depends on the seed and the step alone, so the resumed run is the uninterrupted one.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax

from nfml_jax.training.checks import check_config, find_devices
from nfml_jax.training.experiment import Experiment
from nfml_jax.training.interrupts import Interrupts
from nfml_jax.training.pace import Dispatches
from nfml_jax.training.run import Clock, Outcome, Run
from nfml_jax.training.run_directory import RunDirectory
from nfml_jax.training.setup import Setup
from nfml_jax.training.step import TrainState
from nfml_jax.training.terminal import Terminal


def train_and_evaluate(
    make_experiment: Callable[[dict], Experiment],
    config: dict,
    workdir: Path | str,
    *,
    terminal: Terminal | None = None,
) -> Outcome:
    """Run the experiment of `config` in `workdir`, from where that stands to the end.

    `config` is a plain nested dict with "seed", "platform", "num_devices", "optimizer"
    and "train" (see configs/defaults/); `make_experiment(config)` gives the rest.
    Raises UserError for what the user can mend, before anything is trained or written.
    """
    terminal = terminal or Terminal()
    check_config(config)
    with RunDirectory(workdir, config) as directory:
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
        with jax.default_device(devices[0]):
            setup = Setup(make_experiment, config, devices)
            directory.begin()
            try:
                with Interrupts() as interrupts:
                    clock = Clock(setup.began)
                    with Run(setup, directory, terminal, interrupts, clock) as run:
                        state = run.restore(setup.state())
                        to_the_end(setup, [run], state, interrupts, clock)
                return run.outcome
            except BaseException as problem:
                directory.status("failed", error=f"{type(problem).__name__}: {problem}")
                raise


def to_the_end(
    program: Any,
    runs: Sequence[Run],
    state: TrainState,
    interrupts: Interrupts,
    clock: Clock,
) -> None:
    """Train and finish the `runs`, all of them at the step of `state`.

    `program` is the `Setup` of one run, or one of several that offers the same (see
    `nfml_jax.training.vmapped`). How each ended is its `outcome`.
    """
    for run in runs:
        run.begin()
    state = _train(program, runs, state, interrupts, clock)
    for number, run in enumerate(runs):
        run.end()
        if run.outcome is None:
            run.attempt(run.finish, program.part(state, number))
            clock.charge(run)


def _train(program, runs, state, interrupts, clock) -> TrainState:
    """To the last step, unless a stop is wanted or every run has ended; and save."""
    schedule, step = program.schedule, runs[0].first

    def going():
        return [(n, run) for n, run in enumerate(runs) if run.outcome is None]

    def harvest(first, metrics):
        for number, run in going():
            own = {k: v.reshape(len(runs), -1)[number] for k, v in metrics.items()}
            run.attempt(run.log, first, own)

    def pause(**what):
        dispatches.drain()
        clock.charge(*(run for _, run in going()))
        for number, run in going():
            run.attempt(run.pause, program.part(state, number), step, **what)
            clock.charge(run)

    most = program.settings["steps_per_dispatch"]
    dispatches = Dispatches(program.dispatch(), most, harvest)
    while step < schedule.total and going() and not interrupts.wanted:
        steps = min(dispatches.steps, schedule.next_event(step) - step)
        state = dispatches.run(state, step, steps, *program.data(step))
        step += steps
        evaluate = schedule.due(schedule.evaluate, step)
        save = schedule.due(schedule.checkpoint, step)
        if evaluate or save:
            pause(evaluate=evaluate, save=save)
    dispatches.drain()
    if any(run.kept < step for _, run in going()):
        pause(evaluate=False, save=True)
    clock.charge(*(run for _, run in going()))
    return state
