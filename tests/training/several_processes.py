"""One run by several processes, forked here so that only the first has to import.

Usage: FOLDER CONFIG. In FOLDER `one` is the run of a single process with two devices,
`two` that of two processes, and `cut` the same, stopped by SIGTERM to one process, gone
on, ended by SIGKILL of one, and gone on again. Prints what each process said.
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
from regression import Regression

from nfml_jax.errors import UserError
from nfml_jax.training import processes
from nfml_jax.training.loop import train_and_evaluate


def work(path, config, index, count, port, how):
    """One process's life; its exit code."""
    if count == 1:
        jax.config.update("jax_num_cpu_devices", 2)
    else:
        processes.join(f"127.0.0.1:{port}", count, index, timeout=60)
    make = Regression
    if how and index == 1:
        make = functools.partial(Regression, signal_at=2, how=how)
    try:
        train_and_evaluate(make, config, path)
    except UserError as mistake:
        print(f"error: {mistake}")
        return 2
    except BaseException:
        traceback.print_exc(file=sys.stdout)
        return 1
    jax.distributed.shutdown()
    return 0


def processes_of(path, config, count, how=None):
    """Run them all to their ends; their exit codes, and the last words of the first."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    children = []
    for index in range(count):
        child = os.fork()
        if not child:
            log = os.open(f"{path}.{index}.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(log, 1)
            code = work(path, config, index, count, port, how)
            sys.stdout.flush()
            os._exit(code)
        children.append(child)
    codes = [os.waitstatus_to_exitcode(os.waitpid(c, 0)[1]) for c in children]
    words = Path(f"{path}.0.txt").read_text().strip().splitlines()
    status = json.loads((Path(path) / "status.json").read_text())
    return {"codes": codes, "words": words[-1:], **status}


folder, config = Path(sys.argv[1]), json.loads(sys.argv[2])
said = {
    "one": processes_of(folder / "one", config, 1),
    "two": processes_of(folder / "two", config, 2),
    "told": processes_of(folder / "cut", config, 2, signal.SIGTERM),
    "killed": processes_of(folder / "cut", config, 2, signal.SIGKILL),
    "resumed": processes_of(folder / "cut", config, 2),
}
print(json.dumps(said))
