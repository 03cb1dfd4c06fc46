"""Where a sweep's jobs run: one file for each way, one line in the table.

An executor is made from `Options`, and raises UserError if it cannot work here. Its
`run(jobs, interrupts)` is a generator that starts the jobs, yields each when it has
ended, however it did, and ends with the last; once `interrupts.requested` it lets what
runs save itself and starts nothing more. What became of a trial stands in the trial's
run directory.
"""

import importlib
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from nfml_jax.distributed.interrupts import Interrupts
from nfml_jax.errors import UserError
from nfml_jax.ops.names import look_up
from nfml_jax.sweeps.jobs import Job

CLUSTER = "requirements-cluster.txt"


@dataclass(frozen=True)
class Options:
    """What the user says of where jobs run.

    `jobs` of them at a time (0: as many as fit); `cpus` and `gpus` for each, on Ray and
    SLURM; the address of a running Ray ("": one of this machine); and parameters of
    `submitit.AutoExecutor`, as {"slurm_partition": "gpu", "timeout_min": 60}.
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
    """The contract; see above."""

    def __init__(self, options: Options): ...

    def run(self, jobs: Sequence[Job], interrupts: Interrupts) -> Iterator[Job]: ...


EXECUTORS = {
    "here": "nfml_jax.sweeps.executors.here:Here",
    "local": "nfml_jax.sweeps.executors.processes:Processes",
    "ray": "nfml_jax.sweeps.executors.ray_cluster:Ray",
    "slurm": "nfml_jax.sweeps.executors.slurm:Slurm",
}


def make_executor(name: str, options: Options) -> Executor:
    """The executor of that name."""
    module, kind = look_up(EXECUTORS, name, "executor").split(":")
    return getattr(importlib.import_module(module), kind)(options)


def needs(package: str, executor: str):
    """The package, or a sentence that says how to come by it."""
    try:
        return importlib.import_module(package)
    except ImportError:
        raise UserError(
            f"--executor={executor} needs the package {package!r}, which is not "
            f"installed here; pip install -r {CLUSTER}."
        ) from None


def import_path() -> str:
    """PYTHONPATH of a process that is to import what this one can."""
    return os.pathsep.join(filter(None, sys.path))
