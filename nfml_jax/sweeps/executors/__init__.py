"""Executors of a sweep's jobs: one file for each way, one line in the table.

An executor is made from `Options`, and raises UserError if it cannot work here. Its
`run(jobs, interrupts)` is a generator that starts the jobs and yields each one when it
has ended, however it ended. It finishes with the last job. Once `interrupts.requested`
is set, it lets running jobs save their state and starts no more. The outcome of a trial
is in the trial's run directory.
"""

import importlib
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from nfml_jax.distributed.interrupts import Interrupts
from nfml_jax.errors import UserError
from nfml_jax.ops.extras import import_extra
from nfml_jax.ops.names import look_up
from nfml_jax.sweeps.jobs import Job

__all__ = ["EXECUTORS", "Executor", "Options", "import_path", "make_executor", "needs"]


@dataclass(frozen=True)
class Options:
    """The user's choices of where jobs run.

    `jobs` is the maximum number of concurrent jobs (0: as many as fit); `cpus` and
    `gpus` are for each job, on Ray and SLURM. `ray_address` is that of a running Ray
    ("" starts one on this machine). `slurm` has parameters of `submitit.AutoExecutor`,
    as {"slurm_partition": "gpu", "timeout_min": 60}.
    """

    jobs: int = 0
    cpus: float = 1
    gpus: float = 0
    ray_address: str = ""
    slurm: Mapping[str, object] = field(default_factory=dict)

    def __post_init__(self):
        if self.jobs < 0 or self.cpus <= 0 or self.gpus < 0:
            raise UserError(
                f"--jobs={self.jobs} and --gpus={self.gpus:g} must be at least 0, and "
                f"--cpus={self.cpus:g} positive."
            )


class Executor(Protocol):
    """The contract of executors; see the module."""

    def __init__(self, options: Options): ...

    def run(self, jobs: Sequence[Job], interrupts: Interrupts) -> Iterator[Job]: ...


EXECUTORS = {
    "here": "nfml_jax.sweeps.executors.here:Here",
    "local": "nfml_jax.sweeps.executors.processes:Processes",
    "ray": "nfml_jax.sweeps.executors.ray_cluster:Ray",
    "slurm": "nfml_jax.sweeps.executors.slurm:Slurm",
}


def make_executor(name: str, options: Options) -> Executor:
    """Return the executor of that name."""
    module, kind = look_up(EXECUTORS, name, "executor").split(":")
    return getattr(importlib.import_module(module), kind)(options)


def needs(package: str, executor: str):
    """Return the package; raise UserError with the command that installs it."""
    return import_extra(package, f"--executor={executor}")


def import_path() -> str:
    """Return the PYTHONPATH with which a process can import what this one can."""
    return os.pathsep.join(filter(None, sys.path))
