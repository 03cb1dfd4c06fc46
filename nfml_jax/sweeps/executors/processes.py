"""A process for each job, some at a time: a crash stops no other trial.

Each process has its own GPU, or its share of one; without GPUs, its share of the cores.
"""

import contextlib
import os
import pickle
import signal
import subprocess
import sys
import time
from collections import deque

from nfml_jax.sweeps.executors import Options, import_path
from nfml_jax.sweeps.jobs import Job, finalize, mark_lost

POLL_SECONDS = 0.1
ERRORS = "stderr.txt"
MEMORY = 0.9  # of a GPU, shared by the jobs on it


class Processes:
    """An executor with `options.jobs` processes; 0 means one per GPU, or one."""

    def __init__(self, options: Options):
        gpus = visible_gpus()
        count = options.jobs or len(gpus) or 1
        self.slots = [_Slot(i, count, gpus) for i in range(count)]

    def run(self, jobs, interrupts):
        waiting, free, running = deque(jobs), deque(self.slots), []
        stopping = False
        try:
            while waiting or running:
                if interrupts.requested and not stopping:
                    stopping = True
                    waiting.clear()
                    for _, process, _ in running:
                        process.terminate()
                while waiting and free:
                    job, slot = waiting.popleft(), free.popleft()
                    running.append((job, _start(job, slot), slot))
                for entry in [e for e in running if e[1].poll() is not None]:
                    running.remove(entry)
                    job, process, slot = entry
                    free.append(slot)
                    _mark_lost(job, process.returncode, stopping)
                    yield job
                time.sleep(POLL_SECONDS)
        finally:
            for _, process, _ in running:
                process.kill()


def visible_gpus() -> list[str]:
    """Return the GPUs that a process started here may use, without starting JAX."""
    if os.environ.get("JAX_PLATFORMS", "cuda").split(",")[0] not in ("cuda", "gpu"):
        return []
    listed = os.environ.get("CUDA_VISIBLE_DEVICES")
    if listed is not None:
        return [name for name in listed.split(",") if name not in ("", "-1")]
    try:
        said = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True)
    except OSError:
        return []
    return [str(i) for i in range(said.stdout.count("GPU "))]


class _Slot:
    """The devices of one of `count` processes that run at a time."""

    def __init__(self, index: int, count: int, gpus: list[str]):
        self.environment, self.cores = {}, None
        if gpus:
            share = MEMORY / -(-count // len(gpus))
            self.environment = {"CUDA_VISIBLE_DEVICES": gpus[index % len(gpus)]}
            if count > len(gpus):
                self.environment["XLA_PYTHON_CLIENT_MEM_FRACTION"] = f"{share:.3f}"
        elif hasattr(os, "sched_getaffinity"):
            cores = sorted(os.sched_getaffinity(0))
            self.cores = cores[index::count] if 1 < count <= len(cores) else None


def _start(job: Job, slot: _Slot) -> subprocess.Popen:
    process = subprocess.Popen(
        [sys.executable, "-m", "nfml_jax.sweeps.jobs"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=(job.paths[0] / ERRORS).open("w"),
        env=os.environ | {"PYTHONPATH": import_path()} | slot.environment,
        start_new_session=True,  # the parent passes on Ctrl-C
    )
    if slot.cores:
        os.sched_setaffinity(process.pid, slot.cores)
    assert process.stdin is not None  # a pipe
    with contextlib.suppress(BrokenPipeError):  # its death is reported later
        process.stdin.write(pickle.dumps(job))
        process.stdin.close()
    return process


def _mark_lost(job: Job, code: int, stopped: bool) -> None:
    """Write the status of the trials of a process that died."""
    if not code:
        return
    if stopped:
        finalize(job, "interrupted")
        return
    ending = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
    said = (job.paths[0] / ERRORS).read_text(errors="replace").split("\n")
    last = next((line for line in reversed(said) if line.strip()), "")
    mark_lost(job, f"its process ended with {ending}{last and f': {last}'}")
