"""Run a config: `nfml train --config=arcface_mnist`.

A config is a name in configs/, or a file: `python launch.py --config=configs/X.py` is
the same command in a clone. Any field of the config can be set on the command line
(`--config.head.margin=0.3`), and `--config=X:smoke` shrinks any config to seconds. The
same command with the same `--workdir` resumes an interrupted run. A sweep runs the
config once for each of a list of overrides: `--sweep=X` for configs/sweeps/X.py, or
inline `--sweep="head.margin=0.1,0.3 seed=0:5"`; a file may also name a search, whose
values optuna chooses. `--dry_run` only lists the runs. `--jobs=4` runs four at a time,
and `--executor` chooses the place.
"""

import os
import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from absl import app, flags

from nfml_jax.cli import train_flags
from nfml_jax.cli.command import answer, open_terminal
from nfml_jax.cli.command_line import (
    check_flags,
    check_overrides,
    fields_of_any_type,
    given,
    read_config,
    read_sweep,
    resolved,
    turned_off,
)
from nfml_jax.cli.laboratory import enter
from nfml_jax.cli.train_flags import (
    CONFIG,
    COORDINATOR,
    COORDINATOR_TIMEOUT,
    DISTRIBUTED,
    NUM_PROCESSES,
    PROCESS_ID,
    PROFILE,
    REPLAY,
    SWEEP,
    TRACK,
    WORKDIR,
)
from nfml_jax.cli.train_sweep import EXIT_CODES, sweep, trials_of
from nfml_jax.distributed.guard import guard
from nfml_jax.errors import UserError
from nfml_jax.runs.trackers import VARIABLE, find_tracker
from nfml_jax.training.profiling import Span


def launch(argv) -> int:
    """Run what the flags ask for; return the exit code."""
    if len(argv) > 1:
        raise UserError(
            f"{argv[1]!r} is not a flag; write --config=NAME and --workdir=FOLDER."
        )
    track(TRACK.value or [])
    if SWEEP.value:
        return sweep(CONFIG.value, SWEEP.value)
    if REPLAY.value is not None:
        return replay(CONFIG.value.to_dict(), REPLAY.value)
    if DISTRIBUTED.value:
        guard()
    terminal = open_terminal()
    from experiments import make_experiment
    from experiments.checks import check_experiment
    from nfml_jax.training.loop import train_and_evaluate

    span = Span.parse(PROFILE.value) if PROFILE.value else None
    if DISTRIBUTED.value:
        join()

    config = check_experiment(CONFIG.value.to_dict())
    default = Path("runs") / config["name"] / time.strftime("%Y%m%d-%H%M%S")
    outcome = train_and_evaluate(
        make_experiment,
        config,
        WORKDIR.value or default,
        terminal=terminal,
        profile=span,
    )
    return EXIT_CODES[outcome.status]


def replay(config: dict, step: int) -> int:
    """Replay a step; return exit code 3 if a value in it is not finite."""
    for flag in ("distributed", "profile"):
        if flags.FLAGS[flag].value:
            raise UserError(f"--{flag} and --replay exclude each other; leave one out.")
    if not WORKDIR.value:
        raise UserError("--replay needs --workdir=FOLDER, the run directory.")
    terminal = open_terminal()
    from experiments import make_experiment
    from nfml_jax.training import replay as module

    found = module.replay(
        make_experiment, config, WORKDIR.value, step, terminal=terminal
    )
    return EXIT_CODES["diverged" if found.findings else "done"]


def track(names: Sequence[str]) -> None:
    """Let runs write to these trackers, in this process and in those of a sweep."""
    for name in names:
        find_tracker(name)
    if names:
        os.environ[VARIABLE] = ",".join(names)


def join() -> None:
    """Join the other processes of the run."""
    from nfml_jax.distributed import processes

    if not WORKDIR.value:
        raise UserError(
            "--distributed needs --workdir=FOLDER, the same for all processes."
        )
    processes.join(
        COORDINATOR.value,
        NUM_PROCESSES.value,
        PROCESS_ID.value,
        timeout=COORDINATOR_TIMEOUT.value,
    )


def parse_flags(argv):
    """Parse the flags by absl; a mistake in them becomes one sentence."""
    if any(re.fullmatch(r"--?h(elp)?", item) for item in argv):
        print(help_text())
        sys.exit(0)
    try:
        if not any(re.match(r"--?help", a) for a in argv):
            argv = resolved(argv)
            config = read_config(argv)
            check_overrides(argv, config)
            for text in given(argv, "profile"):
                Span.parse(text)
            files = given(argv, "sweep")
            if files:
                any_type = fields_of_any_type(config)
                wanted = read_sweep(files[-1], config.to_dict(), any_type)
                trials_of(config, wanted)
            check_flags(argv)
        # The parsers of numbers and texts take no None.
        off = turned_off(argv)
        left = flags.FLAGS([item for item in argv if item not in off])
        for name in off.values():
            CONFIG.value.update_from_flattened_dict({name: None})
        return left
    except flags.Error as problem:
        raise UserError(f"{problem}.") from None


def help_text() -> str:
    """Return the description of the command and of its flags."""
    listed = flags.FLAGS.module_help(train_flags.__name__).split("\n", 2)[-1]
    return f"{__doc__}\nflags:\n{listed}\n\nTry --helpfull to get a list of all flags."


def main(arguments: Sequence[str] | None = None, program: str = "nfml train") -> int:
    """Run the command; return 2 after a mistake that the user can correct."""
    # Overrides of a config are looked for in `sys.argv`.
    sys.argv = [program, *(sys.argv[1:] if arguments is None else arguments)]

    def launched():
        enter()
        app.run(launch, flags_parser=parse_flags)

    code = answer(launched, stopped="Stopped without saving.")
    if flags.FLAGS.is_parsed() and DISTRIBUTED.value:
        from nfml_jax.distributed.processes import leave

        leave(code)  # without awaiting the others
    return code
