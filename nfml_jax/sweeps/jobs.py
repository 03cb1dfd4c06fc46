"""The unit that executors distribute: a trial, or a group that runs as one program.

How a trial stands is in its run directory and nowhere else, so that it doesn't matter
which process, on which machine of a shared file system, worked on it.
`python -m nfml_jax.sweeps.jobs` runs the pickled job that comes on its input.
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

ENDED = ("done", "diverged", "failed")


@dataclass(frozen=True)
class Job:
    """Trials of one program, their run directories, and how a config is made to run."""

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
    """One of `STATUSES`; a directory in which nothing has run is pending."""
    if (path / "result.json").exists():
        return "done"
    return read_status_file(path)["status"]


def status_before(path: Path) -> str:
    """`read_status` before a sweep: a run that died without a word is interrupted."""
    status = read_status(path)
    return "interrupted" if status == "running" and not in_use(path) else status


def begin(job: Job) -> None:
    """Give each trial that isn't half done a run directory, pending."""
    for trial, path in zip(job.trials, job.paths, strict=True):
        path.mkdir(parents=True, exist_ok=True)
        status = status_before(path)
        if status == "interrupted":
            write_status(path, status)
        elif status != "running":
            replace_json(path / "config.json", trial.config)
            write_status(path, "pending")


def finalize(job: Job, status: str, **more) -> None:
    """Give those trials of a job that have come to no end of their own this status."""
    for path, there in zip(job.paths, job.statuses(), strict=True):
        if there not in ("done", "diverged"):
            write_status(path, status, **more)


def mark_lost(job: Job, error: str) -> None:
    """The job's program is gone without a word.

    What it was at is half done, and goes on another time; what it never came to begin
    has failed.
    """
    ends = dict.fromkeys(("running", "interrupted"), "interrupted")
    ends["pending"] = "failed"
    for path, there in zip(job.paths, job.statuses(), strict=True):
        if there in ends:
            write_status(path, ends[there], error=error)


def run_job(job: Job) -> None:
    """Run a job in this process, from where it stands; its mistakes stay its own."""
    keep_compiled(job.paths[0].parent / ".compiled")
    with contextlib.ExitStack() as stack:
        streams = [
            stack.enter_context((path / LOG).open("a", encoding="utf-8"))
            for path in job.paths
        ]
        try:
            _train(job, streams[0])
        except InUse as problem:
            print(problem, file=streams[0])  # how it stands is that process's to say
        except (KeyboardInterrupt, SystemExit):  # that one is submitit's
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
    from nfml_jax.sweeps.vmapped import Apart, run_group

    with contextlib.suppress(Apart):
        run_group(job.make_experiment, job.trials, job.paths, terminal=terminal)
        return
    for trial, path in zip(job.trials, job.paths, strict=True):
        run_job(Job(job.make_experiment, (trial,), (path,)))
        if read_status(path) == "interrupted":
            break


def keep_compiled(folder: Path) -> None:
    """Compile what trials have in common once, unless a cache is set up already."""
    import jax

    if jax.config.jax_compilation_cache_dir is None:
        jax.config.update("jax_compilation_cache_dir", str(folder))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)


if __name__ == "__main__":
    from absl import logging

    logging.set_verbosity(logging.ERROR)
    # As __main__, this module is another one than the job's.
    from nfml_jax.sweeps.jobs import run_job

    run_job(pickle.load(sys.stdin.buffer))
