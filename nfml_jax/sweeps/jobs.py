"""The unit that executors distribute: a trial, or a group that runs as one program.

The status of a trial is stored only in its run directory, so any process, on any
machine of a shared file system, may work on it. `python -m nfml_jax.sweeps.jobs` runs
the pickled job on its standard input.
"""

import contextlib
import pickle
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from nfml_jax.errors import UserError
from nfml_jax.runs.run_directory import (
    LOG,
    InUse,
    in_use,
    replace_json,
    write_status,
)
from nfml_jax.runs.run_files import read_status_file
from nfml_jax.sweeps.overrides import Trial

ENDED = ("done", "diverged", "pruned", "failed")
FINAL = ("done", "diverged", "pruned")


@dataclass(frozen=True)
class Job:
    """Trials of one program, their run directories, and the maker of experiments."""

    make_experiment: Callable
    trials: tuple[Trial, ...]
    paths: tuple[Path, ...]

    def statuses(self) -> list[str]:
        return [read_status(path) for path in self.paths]

    @property
    def name(self) -> str:
        more = f" and {len(self.trials) - 1} more" if self.trials[1:] else ""
        return self.trials[0].id + more


def read_status(path: Path) -> str:
    """Return one of `STATUSES`; a directory in which nothing has run is pending."""
    if (path / "result.json").exists():
        return "done"
    return read_status_file(path)["status"]


def status_before(path: Path) -> str:
    """Return `read_status` before a sweep: a run that died silently is interrupted."""
    status = read_status(path)
    return "interrupted" if status == "running" and not in_use(path) else status


def begin(job: Job) -> None:
    """Make each trial that has not been started a pending run directory."""
    for trial, path in zip(job.trials, job.paths, strict=True):
        path.mkdir(parents=True, exist_ok=True)
        status = status_before(path)
        if status == "interrupted":
            write_status(path, status)
        elif status != "running":
            replace_json(path / "config.json", trial.config)
            write_status(path, "pending")


def finalize(job: Job, status: str, **more) -> None:
    """Give this status to those trials of a job that have not ended by themselves."""
    for path, there in zip(job.paths, job.statuses(), strict=True):
        if there not in FINAL:
            write_status(path, status, **more)


def mark_lost(job: Job, error: str) -> None:
    """Record that the job's process ended without writing a status.

    Trials that had started are interrupted, and continue another time; pending trials
    have failed.
    """
    ends: dict[str, str] = dict.fromkeys(("running", "interrupted"), "interrupted")
    ends["pending"] = "failed"
    for path, there in zip(job.paths, job.statuses(), strict=True):
        if there in ends:
            write_status(path, ends[there], error=error)


def run_job(job: Job) -> None:
    """Run a job in this process, from its last checkpoint; its errors are recorded."""
    keep_compiled(job.paths[0].parent / ".compiled")
    with contextlib.ExitStack() as stack:
        streams = [
            stack.enter_context((path / LOG).open("a", encoding="utf-8"))
            for path in job.paths
        ]
        try:
            _train(job, streams[0])
        except InUse as problem:
            print(problem, file=streams[0])  # the status is written by that process
        except (KeyboardInterrupt, SystemExit):  # SystemExit comes from submitit
            finalize(job, "interrupted")
            raise
        except Exception as problem:
            if not isinstance(problem, UserError):
                for stream in streams:
                    traceback.print_exc(file=stream)
            words = str(problem).splitlines() or [type(problem).__name__]
            finalize(job, "failed", error=words[0])


def _train(job: Job, stream) -> None:
    from nfml_jax.terminal.trial_progress import TrialTerminal
    from nfml_jax.training.loop import train_and_evaluate

    terminal = TrialTerminal(stream, job.paths)
    if len(job.trials) == 1:
        (trial,), (path,) = job.trials, job.paths
        train_and_evaluate(job.make_experiment, trial.config, path, terminal=terminal)
        return
    from nfml_jax.sweeps.vmapped import CannotShareProgram, run_group

    with contextlib.suppress(CannotShareProgram):
        run_group(job.make_experiment, job.trials, job.paths, terminal=terminal)
        return
    for trial, path in zip(job.trials, job.paths, strict=True):
        run_job(Job(job.make_experiment, (trial,), (path,)))
        if read_status(path) == "interrupted":
            break


def keep_compiled(folder: Path) -> None:
    """Use a compilation cache for all trials, unless one is set up already."""
    import jax

    # JAX adds its options when it is imported, where no type checker sees them.
    there = jax.config.jax_compilation_cache_dir  # pyright: ignore[reportAttributeAccessIssue]
    if there is None:
        jax.config.update("jax_compilation_cache_dir", str(folder))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)


if __name__ == "__main__":
    from absl import logging

    logging.set_verbosity(logging.ERROR)
    # As __main__, this module is not the module that the pickled job refers to.
    from nfml_jax.sweeps.jobs import run_job

    run_job(pickle.load(sys.stdin.buffer))
