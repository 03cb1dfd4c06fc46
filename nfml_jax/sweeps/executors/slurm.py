"""Jobs as a SLURM array, submitted by submitit.

A job that is preempted, or runs out of time, is requeued and continues from its last
checkpoint. The machines must share the file system of the runs.
"""

import contextlib
import math
import os
import subprocess
import sys
import time

from nfml_jax.errors import UserError
from nfml_jax.sweeps.executors import Options, import_path, needs
from nfml_jax.sweeps.jobs import finalize, mark_lost, run_job

POLL_SECONDS = 1.0
QUEUE_SECONDS = 10.0  # between two queries of the queue
SAVE_SECONDS = 60.0  # maximum for a cancelled job; SLURM's own is half of it
END_SECONDS = 600.0  # upper limit from SIGTERM to the job's end
MOST = 256  # concurrent jobs of an array, unless the user says otherwise
MINUTES = 24 * 60
# Options that submitit knows by one name for every cluster; the others are SLURM's.
SHARED = {"timeout_min", "mem_gb", "nodes", "cpus_per_task", "gpus_per_node", "name"}
FOLDER = ".slurm"  # beside the trials: submitted scripts and their output


class Task:
    """The callable that submitit submits: `run_job`, with the ability to be requeued.

    SLURM sends a job that is out of time the signal that submitit answers by
    `checkpoint`. It sends SIGTERM to a job that is preempted or cancelled; training
    then saves its state, and SLURM requeues the job or ends it.
    """

    def __call__(self, job):
        run_job(job)
        if "interrupted" in job.statuses():
            time.sleep(END_SECONDS)
            sys.exit("SLURM has not ended this job, which saved itself.")

    def checkpoint(self, job):
        """Return the submission for the queue; submitit calls it when time runs out."""
        # No extra brings it: only those who have a cluster need it.
        from submitit.helpers import (  # pyright: ignore[reportMissingImports]
            DelayedSubmission,
        )

        return DelayedSubmission(self, job)


class Slurm:
    """An executor on SLURM; `options.slurm` has its parameters.

    "cluster" among them is slurm, local or debug.
    """

    def __init__(self, options: Options):
        self._submitit = needs("submitit", "slurm")
        given = dict(options.slurm)
        self._cluster = str(given.pop("cluster", "slurm"))
        self._parameters = {
            "name": "nfml_jax",
            "timeout_min": MINUTES,
            "cpus_per_task": math.ceil(options.cpus),
            "slurm_array_parallelism": options.jobs or MOST,
        }
        if options.gpus:
            self._parameters["gpus_per_node"] = math.ceil(options.gpus)
        for name, value in given.items():
            name = name if name in SHARED else f"slurm_{name.removeprefix('slurm_')}"
            self._parameters[name] = _number(value)
        self._executor(FOLDER)  # raises for a wrong parameter at once

    def _executor(self, folder):
        try:
            executor = self._submitit.AutoExecutor(folder, cluster=self._cluster)
            executor.update_parameters(**self._parameters)
            return executor
        except RuntimeError:
            raise UserError(
                "--executor=slurm finds no SLURM on this machine (no srun); run it "
                "where jobs are submitted, or choose another executor."
            ) from None
        except (TypeError, ValueError, NameError) as problem:
            words = " ".join(str(problem).split())
            raise UserError(f"--slurm holds a wrong parameter: {words}.") from None

    def run(self, jobs, interrupts):
        if not jobs:
            return
        executor = self._executor(jobs[0].paths[0].parent / FOLDER)
        with _exported("PYTHONPATH", import_path()):
            submitted = executor.map_array(Task(), jobs)
        running, latest = dict(zip(submitted, jobs, strict=True)), None
        queue = _Queue() if self._cluster == "slurm" else None
        while running:
            if interrupts.requested and latest is None:
                latest = time.monotonic() + SAVE_SECONDS
                for task in running:
                    task.cancel(check=False)
            ended = {t for t, job in running.items() if _ended(t, job, latest, queue)}
            lost = queue.lost(running) - ended if queue else set()
            for task in ended | lost:
                job = running.pop(task)
                _mark_lost(task, job, stopped=latest is not None, lost=task in lost)
                if job.statuses() != ["pending"] * len(job.paths):
                    yield job
            time.sleep(POLL_SECONDS)


def _ended(task, job, latest: float | None, queue) -> bool:
    """Return whether a job has ended; a job that was cancelled before it ran has."""
    if latest is not None:
        return "running" not in job.statuses() or time.monotonic() > latest
    return task.paths.result_pickle.exists() if queue else task.done()


def _mark_lost(task, job, stopped: bool, lost: bool):
    """Write the status of the trials of a job that left no result."""
    if stopped:
        if "running" in job.statuses():
            finalize(job, "interrupted")
        return
    if "interrupted" in job.statuses():
        return  # it was cancelled after it had saved its state
    if lost or task.exception() is not None:
        said = (task.stderr() or "").strip().splitlines()[-1:]
        words = f"its job {task.job_id} ended without a result"
        mark_lost(job, ": ".join([words, *said]))


class _Queue:
    """SLURM's queue, queried at intervals.

    submitit asks SLURM's accounting instead, which not every SLURM has.
    """

    command = ("squeue", "--me", "--array", "--noheader", "--format=%i")

    def __init__(self):
        self._looked, self._missing = time.monotonic(), set()

    def lost(self, tasks) -> set:
        """Return the tasks missing from the queue in both of the last two queries.

        One query is not enough: a result may become visible after the end of its job.
        """
        if time.monotonic() < self._looked + QUEUE_SECONDS:
            return set()
        self._looked = time.monotonic()
        said = subprocess.run(self.command, capture_output=True, text=True)
        if said.returncode:
            return set()  # SLURM is too busy to answer
        queued = set(said.stdout.split())
        before = self._missing
        self._missing = {task for task in tasks if task.job_id not in queued}
        return before & self._missing


@contextlib.contextmanager
def _exported(name: str, value: str):
    """Set a variable in the environment that the jobs inherit."""
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def _number(value):
    try:
        return int(value)
    except (TypeError, ValueError):
        return value
