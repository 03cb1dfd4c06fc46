"""Jobs as an array of SLURM's, through submitit.

A job that is preempted, or runs out of time, is put in the queue again and goes on from
its last checkpoint. The machines must share the file system of the runs.
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
QUEUE_SECONDS = 10.0  # between two looks at the queue
SAVE_SECONDS = 60.0  # at most, of a job that is cancelled; SLURM's own is half of it
END_SECONDS = 600.0  # at most, from SIGTERM to the job's end
MOST = 256  # of an array at a time, unless the user says
MINUTES = 24 * 60
# What submitit knows by one name for every kind of cluster; all else is SLURM's own.
SHARED = {"timeout_min", "mem_gb", "nodes", "cpus_per_task", "gpus_per_node", "name"}
FOLDER = ".slurm"  # beside the trials: what was submitted and said


class Task:
    """`run_job`, as submitit wants it: able to be put in the queue again.

    To a job that is out of time SLURM sends the signal that submitit answers by
    `checkpoint`. To one that is preempted or cancelled it sends SIGTERM, and training
    saves itself; then it is SLURM's to put the job in the queue, or to end it.
    """

    def __call__(self, job):
        run_job(job)
        if "interrupted" in job.statuses():
            time.sleep(END_SECONDS)
            sys.exit("SLURM has not ended this job, which saved itself.")

    def checkpoint(self, job):
        """Called when the job is out of time, or about to be."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self, job)


class Slurm:
    """`options.slurm` has SLURM's parameters, and "cluster": slurm, local or debug."""

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
        self._executor(FOLDER)  # what is wrong is said now

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
    """Whether a job has ended; once cancelled, a job that never ran says no more."""
    if latest is not None:
        return "running" not in job.statuses() or time.monotonic() > latest
    return task.paths.result_pickle.exists() if queue else task.done()


def _mark_lost(task, job, stopped: bool, lost: bool):
    """What becomes of the trials of a job that left no result."""
    if stopped:
        if "running" in job.statuses():
            finalize(job, "interrupted")
        return
    if "interrupted" in job.statuses():
        return  # it was cancelled, and had saved itself
    if lost or task.exception() is not None:
        said = (task.stderr() or "").strip().splitlines()[-1:]
        words = f"its job {task.job_id} ended without a result"
        mark_lost(job, ": ".join([words, *said]))


class _Queue:
    """SLURM's queue, looked at now and then.

    submitit asks its accounting instead, which not every SLURM has.
    """

    command = ("squeue", "--me", "--array", "--noheader", "--format=%i")

    def __init__(self):
        self._looked, self._missing = time.monotonic(), set()

    def lost(self, tasks) -> set:
        """Those that were in the queue neither now nor the time before.

        Once is not enough: a result may be seen after its job's end.
        """
        if time.monotonic() < self._looked + QUEUE_SECONDS:
            return set()
        self._looked = time.monotonic()
        said = subprocess.run(self.command, capture_output=True, text=True)
        if said.returncode:
            return set()  # SLURM has no time for us
        queued = set(said.stdout.split())
        before = self._missing
        self._missing = {task for task in tasks if task.job_id not in queued}
        return before & self._missing


@contextlib.contextmanager
def _exported(name: str, value: str):
    """A variable in the environment that the jobs inherit."""
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
