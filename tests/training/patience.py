"""A sweep that takes its time, to be caught at work, and limits to all waiting."""

import contextlib
import os
import signal
import time
from pathlib import Path

from nfml_jax.errors import UserError
from tests.training import regression

SLOW = (0, 1)  # the seeds that wait in each validation, until there is `hurry`
WRONG = 3
RESUMED = "Resuming from the checkpoint"


def config(notes):
    """Return the config of trials that write notes to the folder `notes`."""
    notes.mkdir()
    return regression.config(name=str(notes), train__total="8 epochs")


def make(config):
    """The experiment; it notes its process and the one that this was started by."""
    if config["seed"] == WRONG:
        raise UserError(f"seed {WRONG} is wrong")
    with _begun(config["name"], config["seed"]).open("a") as file:
        file.write(f"{os.getpid()} {os.getppid()}\n")
    return _Patient(config)


class _Patient(regression.Regression):
    def validate(self, variables, apply):
        slow = self.config["seed"] in SLOW
        if slow and not (Path(self.config["name"]) / "hurry").exists():
            time.sleep(1)
        return super().validate(variables, apply)


def hurry(notes):
    (notes / "hurry").touch()


def begun(notes, seed):
    """The process, and its parent, of each time that this seed was begun."""
    return [line.split() for line in _begun(notes, seed).read_text().splitlines()]


def _begun(notes, seed):
    return Path(notes) / f"begun_{seed}.txt"


def await_checkpoint(path, seconds=90):
    """Until the trial in `path` is in the midst of its training."""
    until(lambda: any(f.name.isdigit() for f in path.glob("checkpoints/*")), seconds)


def until(condition, seconds=90):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"it didn't come about in {seconds} s")
        time.sleep(0.1)


@contextlib.contextmanager
def within(seconds):
    """Raise an error instead of hanging."""

    def late(*_):
        raise TimeoutError(f"this took more than {seconds} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
