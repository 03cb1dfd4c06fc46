"""One run by several processes, forked here so that only the first has to import.

Usage: FOLDER CONFIG. In FOLDER `one` is the run of a single process with two devices,
`two` that of two processes, and `cut` the same, stopped by SIGTERM to one process, gone
on, ended by SIGKILL of the second, and then of the first, and gone on again. Prints the
last words of each process.
"""

import functools
import json
import os
import signal
import socket
import sys
import traceback
from pathlib import Path

import jax

from nfml_jax.distributed import processes
from nfml_jax.distributed.guard import guard
from nfml_jax.errors import UserError
from nfml_jax.training.loop import train_and_evaluate
from tests.training.regression import Regression


def work(path, config, index, count, port, how):
    """Run one process, which sends itself the signal `how`; return its exit code."""
    make = functools.partial(Regression, signal_at=2, how=how) if how else Regression
    try:
        if count == 1:
            jax.config.update("jax_num_cpu_devices", 2)
        else:
            guard()
            processes.join(f"127.0.0.1:{port}", count, index, timeout=60)
        train_and_evaluate(make, config, path)
    except UserError as mistake:
        print(f"error: {mistake}")
        return 2
    except SystemExit as end:  # the guard's
        return end.code
    except BaseException:
        traceback.print_exc(file=sys.stdout)
        return 1
    jax.distributed.shutdown()
    return 0


def processes_of(path, config, *signals):
    """Run them all to their ends; their exit codes and last words.

    `signals` are those that they send themselves, or None: one for each process.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    children = []
    count = len(signals)
    for index, how in enumerate(signals):
        child = os.fork()
        if not child:
            log = os.open(f"{path}.{index}.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(log, 1)
            code = work(path, config, index, count, port, how)
            sys.stdout.flush()
            os._exit(code)
        children.append(child)
    codes = [os.waitstatus_to_exitcode(os.waitpid(c, 0)[1]) for c in children]
    logs = [Path(f"{path}.{index}.txt").read_text() for index in range(count)]
    words = [log.strip().splitlines()[-1:] for log in logs]
    status = json.loads((Path(path) / "status.json").read_text())
    return {"codes": codes, "words": words, **status}


folder, config = Path(sys.argv[1]), json.loads(sys.argv[2])
said = {
    "one": processes_of(folder / "one", config, None),
    "two": processes_of(folder / "two", config, None, None),
    "told": processes_of(folder / "cut", config, None, signal.SIGTERM),
    "killed": processes_of(folder / "cut", config, None, signal.SIGKILL),
    "orphaned": processes_of(folder / "cut", config, signal.SIGKILL, None),
    "resumed": processes_of(folder / "cut", config, None, None),
}
print(json.dumps(said))
