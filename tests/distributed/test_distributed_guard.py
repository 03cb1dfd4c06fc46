"""A process and its guard act as one process: output, signals and exit code."""

import signal
import subprocess
import sys

import pytest

# The child does what the argument says.
SCRIPT = """
import os, signal, sys, time
from nfml_jax.cli.command import command
from nfml_jax.distributed.guard import guard

@command
def main(_):
    guard()
    exec(sys.argv[1])

sys.exit(main())
"""
ABORTED = """
for line in (
    "E0102 03:04:05.678901    23 coordination_service_agent.cc:45] Polled an error",
    "of several lines",
    "F0102 03:04:05.678902    23 client.h:77] Terminating process",
    "*** Check failure stack trace: ***",
):
    print(line, file=sys.stderr, flush=True)
os.abort()
"""
PATIENT = """
signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
print("ready", flush=True)
time.sleep(60)
"""


def guarded(work):
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, work],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize(
    "work, code, said",
    [
        ("pass", 0, ""),
        ("sys.exit(3)", 3, ""),
        ("print('a word', file=sys.stderr)", 0, "a word\n"),
        ("os.kill(os.getpid(), signal.SIGKILL)", -signal.SIGKILL, ""),
    ],
)
def test_the_guard_ends_as_its_child_does(work, code, said):
    process = guarded(work)
    assert process.communicate(timeout=60) == ("", said)
    assert process.returncode == code


@pytest.mark.parametrize(
    "work, sentence",
    [
        (ABORTED, "error: another process of this run is gone"),
        (f"print('error: a reason', file=sys.stderr)\n{ABORTED}", "error: a reason"),
    ],
)
def test_an_abort_of_the_runtime_ends_with_a_sentence(work, sentence):
    process = guarded(work)
    (said,) = process.communicate(timeout=60)[1].splitlines()
    assert said.startswith(sentence)
    assert process.returncode == 2


@pytest.mark.parametrize("number, code", [(signal.SIGTERM, 7), (signal.SIGKILL, -9)])
def test_a_signal_to_the_guard_reaches_its_child(number, code):
    process = guarded(PATIENT)
    assert process.stdout.readline() == "ready\n"
    process.send_signal(number)
    process.communicate(timeout=30)  # ends with the child, which has the pipe as well
    assert process.returncode == code
