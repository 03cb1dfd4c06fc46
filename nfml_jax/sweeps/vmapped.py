"""Runs that differ only in numbers, trained as one program.

Each run has its own complete run directory, and gives the results that it would give
alone: its numbers, its order of examples and its random keys are values along a leading
axis of one program, which is compiled once. A run that diverges or fails stops no other
run.
"""

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from nfml_jax.distributed.interrupts import Interrupts
from nfml_jax.errors import UserError
from nfml_jax.ops.broadcasting import broadcasting
from nfml_jax.runs import read_run, unfinished
from nfml_jax.runs.run_directory import LOG, RunDirectory
from nfml_jax.sweeps.overrides import Trial
from nfml_jax.sweeps.traced import Programs, differing, numbers_of, with_numbers
from nfml_jax.terminal.terminal import Terminal
from nfml_jax.terminal.trial_progress import TrialTerminal
from nfml_jax.training.devices import find_devices
from nfml_jax.training.loop import train_to_the_end
from nfml_jax.training.opening import open_run
from nfml_jax.training.rates import Clock
from nfml_jax.training.settings import RunSettings
from nfml_jax.training.setup import Setup
from nfml_jax.training.sharding import replicate
from nfml_jax.training.step import TrainState, compile_dispatch

PyTree = Any


class CannotShareProgram(Exception):
    """These trials can't share a program."""


class Group:
    """Setups that differ only in numbers, with the interface of one for the loop.

    State, orders of examples and metrics have a leading axis over runs; `names` are the
    fields of the numbers. With `side_by_side` the program takes a step of all runs at
    once. Otherwise it takes the steps of a dispatch run by run, with unbatched
    products: this is as fast or faster on a CPU, which a single run keeps busy.
    """

    def __init__(
        self, setups: Sequence[Setup], names: Sequence[str], *, side_by_side: bool
    ):
        self._first, self._side_by_side = setups[0], side_by_side
        self.schedule, self.settings = self._first.schedule, self._first.settings
        self.mesh = self._first.mesh
        keys = jnp.stack([setup.order_key() for setup in setups])
        self._feed = self._first.feed.together(keys)
        numbers = [numbers_of(setup.config, names) for setup in setups]
        numbers = jax.tree.map(lambda *values: np.stack(values), *numbers)
        self._numbers = replicate(numbers, self._first.mesh)
        self._take = jax.jit(
            lambda tree, number: jax.tree.map(lambda x: x[number], tree)
        )

    def state(self, states: Sequence[TrainState]) -> TrainState:
        """Return the runs' states as one."""
        stack = jax.jit(lambda *trees: jax.tree.map(lambda *x: jnp.stack(x), *trees))
        return replicate(stack(*states), self._first.mesh)

    def dispatch(self) -> Callable:
        """Return the compiled steps of all runs; see `Setup.dispatch`."""

        def steps_of(state, steps, chunk, resident):
            def one(run):
                numbers, state, chunk = run
                own = with_numbers(self._first, numbers).steps()
                return own(state, steps, chunk, resident)

            numbers, chunk = chunk
            runs = numbers, state, chunk
            if self._side_by_side:
                return jax.vmap(one)(runs)
            return jax.lax.map(one, runs)

        first = self._first
        return compile_dispatch(steps_of, first.mesh, checked=first.experiment.checked)

    def data(self, step: int) -> tuple[PyTree, PyTree]:
        """Return the data of a dispatch; see `Setup.data`."""
        return (self._numbers, self._feed.chunk(step)), self._feed.resident

    def part(self, tree: PyTree, number: int) -> PyTree:
        """Return the part of one run."""
        return self._take(tree, number)


@broadcasting
def run_group(
    make_experiment: Callable[[dict], Any],
    trials: Sequence[Trial],
    paths: Sequence[Path],
    *,
    terminal: Terminal,
    side_by_side: bool | None = None,
) -> list[dict]:
    """Train trials whose configs differ only in numbers; return the record of each.

    `paths` are their run directories, in the same order; each has the terminal output
    of a single run in `terminal.txt`. Runs continue from their checkpoints, those at
    one step together. A stop request saves and ends all runs. A failing trial ends
    alone; a shared failure is raised. Their experiment or data may raise
    `CannotShareProgram`. `side_by_side` is `Group`'s; None chooses by the devices.
    """
    paths = [Path(path) for path in paths]
    devices = find_devices(_any_settings(trials))
    if side_by_side is None:
        side_by_side = devices[0].platform != "cpu"
    with jax.default_device(devices[0]):
        setup = _any_setup(make_experiment, trials, devices)
        if not _may_join(setup):
            raise CannotShareProgram
        terminal.note(f"{len(trials)} runs in one program.")
        _run_together(setup, trials, paths, side_by_side)
    return [_record(trial, path) for trial, path in zip(trials, paths, strict=True)]


def _may_join(setup: Setup) -> bool:
    """Return whether numbers of the experiment can be replaced, with data in memory.

    No device may have a share of a parameter: it would divide the axis of the runs.
    """
    same = setup.experiment.with_config(setup.config)
    return same is not None and setup.feed.joins and not setup.is_split


def _any_setup(make_experiment, trials, devices) -> Setup:
    """Return the setup of the first trial whose setup can be made."""
    *others, last = trials
    for trial in others:
        with contextlib.suppress(UserError):
            return Setup(make_experiment, trial.config, devices)
    return Setup(make_experiment, last.config, devices)


def _any_settings(trials) -> RunSettings:
    """Return the settings of the first trial that has some; devices are the same."""
    *others, last = trials
    for trial in others:
        with contextlib.suppress(UserError):
            return RunSettings.of(trial.config)
    return RunSettings.of(last.config)


def _run_together(setup, trials, paths, side_by_side) -> None:
    names = differing([trial.config for trial in trials])
    programs, clock = Programs(setup), Clock(setup.began)
    about = {"runs": len(trials), "differ_in": names}
    with contextlib.ExitStack() as opened:
        interrupts = opened.enter_context(Interrupts())
        at_step: dict[int, list] = {}
        for trial, path in zip(trials, paths, strict=True):
            directory = opened.enter_context(RunDirectory(path, trial.config))
            if directory.result() is not None:
                continue
            log = opened.enter_context((path / LOG).open("a", encoding="utf-8"))
            terminal = TrialTerminal(log, [path])
            try:
                RunSettings.of(trial.config)
                own = programs.of(numbers_of(trial.config, names))
                own = setup.with_config(trial.config, own)
                directory.begin()
                run, state = open_run(
                    own, directory, terminal, interrupts, clock, about
                )
                opened.enter_context(run)
            except UserError as mistake:
                terminal.warning(str(mistake))
                directory.status("failed", error=str(mistake))
            else:
                at_step.setdefault(run.first, []).append((run, state))
        while at_step:
            _, members = at_step.popitem()
            runs, states = zip(*members, strict=True)
            setups = [run.setup for run in runs]
            group = Group(setups, names, side_by_side=side_by_side)
            state = group.state(states)
            del members, states  # one group's memory is enough
            train_to_the_end(group, runs, state, interrupts, clock)


def _record(trial, path) -> dict:
    return read_run(path) or unfinished(trial.config, "failed")
