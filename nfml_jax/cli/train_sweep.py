"""A sweep of `nfml train`: its trials, its executor, and its exit code."""

from collections import Counter
from pathlib import Path
from typing import Any

from absl import flags
from ml_collections import ConfigDict

from nfml_jax.cli.command import open_terminal
from nfml_jax.cli.command_line import (
    fields_of_any_type,
    read_sweep,
    sweep_name,
)
from nfml_jax.cli.train_flags import (
    CPUS,
    DRY_RUN,
    EXECUTOR,
    GPUS,
    JOBS,
    RAY_ADDRESS,
    RETRY,
    SLURM,
    VMAP,
    WORKDIR,
)
from nfml_jax.errors import UserError
from nfml_jax.ops.checks import check_number
from nfml_jax.sweeps.executors import Options, make_executor
from nfml_jax.sweeps.overrides import Sweep, Trial, make_trials
from nfml_jax.sweeps.searches import Search

EXIT_CODES = {
    **dict.fromkeys(("done", "pending", "running", "interrupted", "pruned"), 0),
    "failed": 1,
    "diverged": 3,
}


def sweep(fields: ConfigDict, text: str) -> int:
    """Run, or list, the trials of a sweep over the config of these fields."""
    for flag in ("distributed", "profile"):
        if flags.FLAGS[flag].value:
            raise UserError(
                f"--{flag} applies to a single run; leave out either it or --sweep."
            )
    config, any_type = fields.to_dict(), fields_of_any_type(fields)
    wanted = read_sweep(text, config, any_type)
    folder = WORKDIR.value or Path("runs") / sweep_name(text, config)
    executor = make_executor(EXECUTOR.value or default_executor(), options())
    terminal = open_terminal()
    from experiments import make_experiment
    from experiments.checks import checked_trials
    from nfml_jax.sweeps.asking import run_search
    from nfml_jax.sweeps.trials import listing, plan, run_trials

    trials = checked_trials(trials_of(fields, wanted))
    if isinstance(wanted, Search):
        if DRY_RUN.value:
            print(f"{wanted.words()}, in {folder}")
            return 0
        records = run_search(
            make_experiment,
            config,
            wanted,
            folder,
            executor=executor,
            terminal=terminal,
            at_once=JOBS.value or 1,
            trials_of=lambda sweep: checked_trials(trials_of(fields, sweep)),
        )
    else:
        jobs = plan(make_experiment, trials, folder, vmap=VMAP.value, retry=RETRY.value)
        if DRY_RUN.value:
            print(listing(trials, jobs, folder))
            return 0
        records = run_trials(jobs, trials, folder, executor=executor, terminal=terminal)
    counts = Counter(record["status"] for record in records)
    words = ", ".join(f"{count} {status}" for status, count in counts.items())
    terminal.note(f"{words}; `nfml results {folder}` makes a table.")
    return max(map(exit_code, records))


def trials_of(fields: ConfigDict, wanted: Sweep | Search) -> list[Trial]:
    """Return the trials of a sweep, or two example trials of a search."""
    overrides = wanted.examples() if isinstance(wanted, Search) else wanted
    return make_trials(fields.to_dict(), overrides, fields_of_any_type(fields))


def exit_code(record: dict) -> int:
    """Return the exit code of a trial, 1 if an error interrupted it."""
    return EXIT_CODES[record["status"]] or int("error" in record)


def default_executor() -> str:
    """Return the name of the default executor of a sweep."""
    return "local" if JOBS.value else "here"


def options() -> Options:
    """Return the options of the sweep's executor from the flags."""
    cpus: dict[str, Any] = {"--cpus": CPUS.value}
    gpus: dict[str, Any] = {"--gpus": GPUS.value}
    check_number(None, above=0, **cpus)
    check_number(None, 0, **gpus)
    parts = [item.partition("=") for item in SLURM.value]
    slurm = {name: value for name, _, value in parts}
    return Options(JOBS.value, CPUS.value, GPUS.value, RAY_ADDRESS.value, slurm)
