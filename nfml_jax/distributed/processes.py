"""Several processes that train one run: joining, agreement and leaving.

JAX's own runtime joins them; every process runs the same program, and a step is
computed by the devices of all. Only process 0 writes logs, figures and the result.
"""

import contextlib
import json
import os
import socket
import sys
import time
import zlib
from collections.abc import Iterable
from typing import Any

import jax
import numpy as np

from nfml_jax.errors import UserError
from nfml_jax.ops.devices import Device

PyTree = Any

# Time for which a process that has ended its work awaits process 0's evaluation.
PARTING_SECONDS = 24 * 3600


def join(
    coordinator: str | None = None,
    num_processes: int | None = None,
    process_id: int | None = None,
    *,
    timeout: int,
) -> None:
    """Join the other processes, before JAX computes anything.

    `coordinator` is the HOST:PORT of process 0. Without it JAX asks SLURM, the TPU's
    runtime or MPI. Raises UserError if the others aren't there within `timeout`
    seconds.
    """
    given = {
        "--coordinator": coordinator,
        "--num_processes": num_processes,
        "--process_id": process_id,
    }
    lacking = [flag for flag, value in given.items() if value is None]
    if 0 < len(lacking) < len(given):
        raise UserError(
            f"{' and '.join(lacking)} must be given, too: give a process all of "
            f"{', '.join(given)}, or none of them on SLURM, TPU and MPI."
        )
    if coordinator is not None:
        _check(coordinator, num_processes, process_id)
        if process_id:
            _await(coordinator, timeout)
    # The runtime's own service would intercept SIGTERM; this package has
    # `max_over_processes` instead.
    jax.config.update("jax_enable_preemption_service", False)
    try:
        jax.distributed.initialize(
            coordinator,
            num_processes,
            process_id,
            cluster_detection_method="deactivate" if coordinator else None,
            initialization_timeout=timeout,
            shutdown_timeout_seconds=PARTING_SECONDS,
        )
    except ValueError as problem:
        raise UserError(
            "no SLURM, TPU or MPI started this process; give --coordinator=HOST:PORT, "
            "--num_processes=N and --process_id=I."
        ) from problem
    except RuntimeError as problem:
        reason = str(problem).splitlines()[0][:120]
        raise UserError(
            f"the processes did not connect within {timeout} s ({reason}); start all "
            "of them, or give a longer --coordinator_timeout."
        ) from None
    sys.excepthook = _leave_after(sys.excepthook)


def _check(coordinator, num_processes, process_id):
    host, _, port = coordinator.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 2**16:
        raise UserError(
            f"--coordinator={coordinator} is not HOST:PORT; write for example "
            "--coordinator=node1:1234."
        )
    if not 0 <= process_id < num_processes:
        raise UserError(
            f"--process_id={process_id} must lie between 0 and --num_processes - 1 = "
            f"{num_processes - 1}."
        )


def _await(coordinator: str, timeout: float) -> None:
    """Wait until the coordinator answers; the runtime itself would end the process."""
    host, _, port = coordinator.rpartition(":")
    end = time.monotonic() + timeout
    while True:
        left = end - time.monotonic()
        try:
            socket.create_connection(
                (host.strip("[]"), int(port)), max(left, 1)
            ).close()
            return
        except OSError as problem:
            if left <= 0.2:
                raise UserError(
                    f"no coordinator answers at {coordinator} within {timeout} s "
                    f"({problem.strerror or problem}); start process 0 there, or give "
                    "a longer --coordinator_timeout."
                ) from None
        time.sleep(0.2)


def leave(code: int) -> None:
    """End this process; if there are several, without waiting for the others.

    They are informed by the runtime.
    """
    if jax.distributed.is_initialized():
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def _leave_after(hook):
    def leave_after(*problem):
        hook(*problem)
        leave(1)

    return leave_after


def is_single_process() -> bool:
    """Return whether this is the only process."""
    # Asked first, because counting processes makes JAX initialize its devices.
    return not jax.distributed.is_initialized() or jax.process_count() == 1


def is_first() -> bool:
    """Return whether this is process 0, or the only one."""
    return is_single_process() or jax.process_index() == 0


@contextlib.contextmanager
def raise_in_all():
    """Make an error of one process raise in all, so that none waits for it."""
    failure = None
    try:
        yield
    except Exception as problem:
        failure = problem
    if not is_single_process():
        (last,) = max_over_processes(-1 if failure is None else jax.process_index())
        if failure is None and last >= 0:
            failure = UserError(
                f"process {last:.0f} failed (its own message says why); repair "
                "that and start all again."
            )
    if failure is not None:
        raise failure


def check_same(config: dict) -> None:
    """Raise UserError, in all processes, unless they have the same config."""
    if is_single_process():
        return
    text = json.dumps(config, sort_keys=True)
    number = zlib.crc32(text.encode()) % 2**24  # an integer that a float32 can hold
    high, low = max_over_processes(number, -number)
    if high + low:
        raise UserError(
            "the processes of this run have different configs; start all of them with "
            "the same flags except --process_id."
        )


def local_devices(devices: Iterable[Device]) -> list[Device]:
    """Return the devices of this process."""
    return [d for d in devices if d.process_index == jax.process_index()]


def local_copy(tree: PyTree) -> PyTree:
    """Return replicated arrays as this process's own, for work without the others.

    Raises UserError for arrays that are split over the devices of several processes.
    """
    if is_single_process():
        return tree
    if not all(x.is_fully_replicated for x in jax.tree.leaves(tree)):
        raise UserError(
            "this model's parameters are split over devices, which several processes "
            "cannot evaluate; train it in one process, or without splitting them."
        )
    return jax.tree.map(lambda x: x.addressable_data(0), tree)


def max_over_processes(*values: float) -> list[float]:
    """Return the elementwise maximum over processes; waits for all of them."""
    from jax.experimental import multihost_utils

    return multihost_utils.process_allgather(np.array(values)).max(axis=0).tolist()
