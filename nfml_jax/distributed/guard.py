"""A parent for one of several processes, which says in a sentence how it ended.

When the coordinator is gone, JAX's runtime aborts the processes that it had, each with
a stack trace of C++. Nothing within them can catch that.
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

# How the runtime begins what it says of its errors, and how Python does.
THEIRS = re.compile(rb"F\d{4} |[WE]\d{4} .*(coordination|distributed)")
OURS = (b"error: ", b"Traceback ", b"Stopped ")
GONE = (
    "another process of this run is gone, or cannot be reached; start all again with "
    "the same --workdir, and they go on from the last checkpoint."
)
SECONDS = 1.0  # at most, for last words after the end


def guard() -> None:
    """Go on as a child of this process, which awaits it and ends as it does.

    To be called before there are threads, so before JAX. The parent hands on signals,
    and what the child says on stderr but for the runtime's own words. If the runtime
    aborts the child, it raises UserError instead, unless the child has said why.
    """
    sys.stdout.flush()  # or both would say it
    heard, said = os.pipe()
    watched, held = os.pipe()  # the child sees its end when the parent ends
    signal.pthread_sigmask(signal.SIG_BLOCK, Interrupts.signals)  # until handed on
    child = os.fork()
    if not child:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, Interrupts.signals)
        os.setpgid(0, 0)  # Ctrl-C is the parent's to hand on, once
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
        with contextlib.suppress(OSError):  # SIGKILL is not ours to handle
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
    """Hands on the child's words; `sentence` if an error of ours was among them."""

    def __init__(self, heard: BinaryIO):
        super().__init__(daemon=True)
        self._heard, self.sentence = heard, False

    def run(self):
        theirs = False
        for line in self._heard:
            # An error of theirs may have several lines.
            theirs = bool(THEIRS.match(line) or (theirs and not line.startswith(OURS)))
            if not theirs:
                self.sentence |= line.startswith(OURS)
                sys.stderr.buffer.write(line)
                sys.stderr.flush()
