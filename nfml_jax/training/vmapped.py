"""Runs that differ in numbers alone, trained as one program.

Each keeps a run directory of its own, complete as a single run's, and is the run that
it would be alone: its numbers, its order of examples and its random keys are values
along a leading axis of one program, which is compiled once. One that diverges or fails
stops none of the others.
"""

import contextlib
import copy
import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from nfml_jax.errors import UserError
from nfml_jax.names import flatten
from nfml_jax.results import read_run, unfinished
from nfml_jax.training.checks import check_config, find_devices
from nfml_jax.training.interrupts import Interrupts
from nfml_jax.training.jobs import LOG, Job, read_status, run_job
from nfml_jax.training.loop import to_the_end
from nfml_jax.training.run import Clock, Run
from nfml_jax.training.run_directory import RunDirectory
from nfml_jax.training.setup import Setup
from nfml_jax.training.sharding import replicate
from nfml_jax.training.step import TrainState, compile_dispatch
from nfml_jax.training.sweeps import Trial
from nfml_jax.training.terminal import Terminal
from nfml_jax.training.trial_progress import TrialTerminal

PyTree = Any


class Group:
    """Setups that differ in numbers alone, offering to the loop what one offers.

    State, orders of examples and metrics have a leading axis, a run each. `width` runs
    are computed side by side, and such parts one after the other: 0 is all at once.
    """

    def __init__(self, setups: Sequence[Setup], names: Sequence[str], width: int):
        self._first, self._size, self._width = setups[0], len(setups), width
        self.schedule, self.settings = self._first.schedule, self._first.settings
        keys = jnp.stack([setup.order_key() for setup in setups])
        self._feed = self._first.feed.together(keys)
        numbers = [numbers_of(setup.config, names) for setup in setups]
        numbers = jax.tree.map(lambda *values: np.stack(values), *numbers)
        self._numbers = replicate(numbers, self._first.mesh)
        self._take = jax.jit(
            lambda tree, number: jax.tree.map(lambda x: x[number], tree)
        )

    def state(self, states: Sequence[TrainState]) -> TrainState:
        """The runs' states as one."""
        stack = jax.jit(lambda *trees: jax.tree.map(lambda *x: jnp.stack(x), *trees))
        return replicate(stack(*states), self._first.mesh)

    def dispatch(self) -> Callable:
        """The compiled steps of all runs; see `Setup.dispatch`."""

        def steps_of(state, steps, chunk, resident):
            def one(run):
                numbers, state, chunk = run
                own = with_numbers(self._first, numbers).steps()
                return own(state, steps, chunk, resident)

            numbers, chunk = chunk
            runs = numbers, state, chunk
            if self._width == 1:
                return jax.lax.map(one, runs)
            return jax.vmap(one)(runs)

        first = self._first
        return compile_dispatch(steps_of, first.mesh, checked=first.checked)

    def data(self, step: int) -> tuple[PyTree, PyTree]:
        return (self._numbers, self._feed.chunk(step)), self._feed.resident

    def part(self, state: PyTree, number: int) -> PyTree:
        return self._take(state, number)


class Programs:
    """Compiles once what the experiments of several setups evaluate alike.

    A method of an experiment becomes a program of its numbers and its arguments.
    """

    def __init__(self, setup: Setup):
        self._setup = setup
        self._compiled: dict[Callable, Callable] = {}

    def of(self, numbers: dict) -> Callable[[Callable], Callable]:
        """What compiles functions of the experiment with these numbers."""

        def compiled(function):
            method = getattr(function, "__func__", None)
            if not isinstance(
                getattr(function, "__self__", None), type(self._setup.experiment)
            ):
                return jax.jit(function)

            def program(numbers, *arguments):
                experiment = with_numbers(self._setup, numbers).experiment
                return method(experiment, *arguments)

            shared = self._compiled.setdefault(method, jax.jit(program))
            return functools.partial(shared, numbers)

        return compiled


def run_group(
    make_experiment: Callable[[dict], Any],
    trials: Sequence[Trial],
    paths: Sequence[Path],
    *,
    terminal: Terminal,
    width: int | None = None,
) -> list[dict]:
    """Train trials whose configs differ in numbers alone; the record of each.

    Their run directories are `paths`, in the same order; in each, `terminal.txt` is
    what a single run would have said. Runs go on from where they stand, those at one
    step together. A wish to stop saves and ends them all. A mistake of one trial is
    that trial's; what befalls all of them is raised. `width` is that of `Group`; None
    is what suits the devices. Trials of an experiment that can't have its numbers
    replaced run one after another.
    """
    paths = [Path(path) for path in paths]
    devices = find_devices(*(trials[0].config[k] for k in ("platform", "num_devices")))
    if width is None:
        width = 1 if devices[0].platform == "cpu" else 0
    with jax.default_device(devices[0]):
        setup = _any_setup(make_experiment, trials, devices)
        if hasattr(setup.experiment, "with_config"):
            terminal.note(f"{len(trials)} runs in one program.")
            _run_together(setup, trials, paths, width)
        else:
            for trial, path in zip(trials, paths, strict=True):
                run_job(Job(make_experiment, (trial,), (path,)))
                if read_status(path) == "interrupted":
                    break
    return [_record(trial, path) for trial, path in zip(trials, paths, strict=True)]


def _any_setup(make_experiment, trials, devices) -> Setup:
    """What the first trial makes that makes anything."""
    for trial in trials:
        try:
            check_config(trial.config)
            return Setup(make_experiment, trial.config, devices)
        except UserError as mistake:
            if trial is trials[-1]:
                raise mistake


def _run_together(setup, trials, paths, width) -> None:
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
                check_config(trial.config)
                own = programs.of(numbers_of(trial.config, names))
                own = setup.with_config(trial.config, own)
                directory.begin()
                run = Run(own, directory, terminal, interrupts, clock, about)
                opened.enter_context(run)
                state = run.restore(own.state())
            except UserError as mistake:
                terminal.warning(str(mistake))
                directory.status("failed", error=str(mistake))
            else:
                at_step.setdefault(run.first, []).append((run, state))
        for members in at_step.values():
            runs, states = zip(*members, strict=True)
            group = Group([run.setup for run in runs], names, width)
            to_the_end(group, runs, group.state(states), interrupts, clock)


def _record(trial, path) -> dict:
    return read_run(path) or unfinished(trial.config, "failed")


def differing(configs: Sequence[dict]) -> list[str]:
    """The dotted fields in which configs differ."""
    flat = [flatten(config) for config in configs]
    return [n for n, v in flat[0].items() if any(other[n] != v for other in flat)]


def numbers_of(config: dict, names: Sequence[str]) -> dict[str, np.ndarray]:
    """A config's numbers by dotted name, as a program takes them."""
    fields = flatten(config)
    kinds = {"seed": np.uint32}  # else as JAX takes a float
    return {n: kinds.get(n, np.float32)(float(fields[n])) for n in names}


def with_numbers(setup: Setup, numbers: dict) -> Setup:
    """A setup with numbers of its config replaced, by traced ones for instance."""
    config = copy.deepcopy(setup.config)
    for name, value in numbers.items():
        *path, last = name.split(".")
        section = config
        for part in path:
            section = section[part]
        section[last] = value
    return setup.with_config(config)
