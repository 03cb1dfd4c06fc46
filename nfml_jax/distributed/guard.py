"""A parent process that explains in one sentence how its child, a run's process, ended.

When the coordinator is lost, JAX's runtime aborts the other processes, each with a
stack trace of C++. No code within them can catch that.
"""

import contextlib
import os
import re
import signal
import sys
import threading
from typing import BinaryIO, NoReturn

from nfml_jax.distributed.interrupts import Interrupts
from nfml_jax.errors import UserError

# Prefixes of error messages of the runtime, and of Python.
THEIRS = re.compile(rb"F\d{4} |[WE]\d{4} .*(coordination|distributed)")
OURS = (b"error: ", b"Traceback ", b"Stopped ")
GONE = (
    "another process of this run is gone, or cannot be reached; start all again with "
    "the same --workdir to continue from the last checkpoint."
)
SECONDS = 1.0  # seconds, at most, for last messages after the end


def guard() -> None:
    """Fork: the child returns and continues; this process waits and exits as it does.

    Call it before any thread is started, so before JAX is imported. The parent passes
    on signals, and the child's stderr except for the runtime's own messages. If the
    runtime aborts the child, the parent raises UserError instead, unless the child has
    given the reason.
    """
    sys.stdout.flush()  # only the child prints it
    heard, said = os.pipe()
    watched, held = os.pipe()  # the child sees its end when the parent ends
    signal.pthread_sigmask(signal.SIG_BLOCK, Interrupts.signals)  # until passed on
    child = os.fork()
    if not child:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, Interrupts.signals)
        os.setpgid(0, 0)  # the parent passes on Ctrl-C, once
        os.dup2(said, sys.stderr.fileno())
        for unused in (heard, said, held):
            os.close(unused)
        threading.Thread(target=_end_after, args=(watched,), daemon=True).start()
        return
    for number in Interrupts.signals:
        signal.signal(number, lambda number, _: _pass_on(child, number))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, Interrupts.signals)
    for unused in (said, watched):
        os.close(unused)
    relay = _Relay(os.fdopen(heard, "rb"))
    relay.start()
    _end_like(child, relay)


def _end_like(child: int, relay: "_Relay") -> NoReturn:
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    relay.join(SECONDS)
    if code == -signal.SIGABRT and relay.sentence:
        sys.exit(2)
    if code == -signal.SIGABRT:
        raise UserError(GONE)
    if code < 0:
        with contextlib.suppress(OSError):  # SIGKILL cannot be handled
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    sys.exit(code)


def _end_after(watched: int) -> None:
    os.read(watched, 1)
    os._exit(1)


def _pass_on(child: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(child, number)


class _Relay(threading.Thread):
    """A relay of the child's output; `sentence` if it had an error of this package."""

    def __init__(self, heard: BinaryIO):
        super().__init__(daemon=True)
        self._heard, self.sentence = heard, False

    def run(self):
        theirs = False
        for line in self._heard:
            # An error of the runtime may have several lines.
            theirs = bool(THEIRS.match(line) or (theirs and not line.startswith(OURS)))
            if not theirs:
                self.sentence |= line.startswith(OURS)
                sys.stderr.buffer.write(line)
                sys.stderr.flush()
