"""Sentences about runs that end by no fault of the user, with the remedy."""

import errno
import os
import re
import shlex
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from nfml_jax.distributed.guard import GONE
from nfml_jax.distributed.processes import is_single_process
from nfml_jax.errors import UserError
from nfml_jax.training.meter import Diverged

# The system's error codes for a failed write, and the remedy of each.
NO_ROOM = {
    errno.ENOSPC: "free some space there",
    errno.EDQUOT: "free some space there, or raise your quota",
    errno.EFBIG: "raise the limit on the size of files (`ulimit -f`)",
    errno.EROFS: "make it writable",
    errno.EIO: "repair the disk",
}

# Phrases by which XLA's collectives and JAX's runtime report a lost process.
GONE_WORDS = ("Connection reset", "Connection closed", "heartbeat", "remote process")


def interruption_in_words(request: str, kept: int, total: int, run_dir: Path) -> str:
    """Describe a run stopped by the `request` when step `kept` was saved."""
    where = f"at step {kept:,} of {total:,}, saved" if kept else "before the first step"
    return (
        f"Stopped by {request} {where}; the same command with "
        f"--workdir={shlex.quote(str(run_dir))} resumes."
    )


def divergence_in_words(
    divergence: Diverged, rate: float, kept: int, remedy: str | None = None
) -> str:
    """Describe a run that diverged at this learning rate when step `kept` was saved.

    `remedy` is the experiment's own, beside that of every run.
    """
    last = (
        f"the last good checkpoint is that of step {kept:,}"
        if kept
        else "there is no checkpoint before it"
    )
    return (
        f"The run diverged at step {divergence.step:,}: {divergence}; the learning "
        f"rate was {rate:.3g}, and {last}. The same command with this --workdir and "
        f"--replay={divergence.step} names the operation."
        + (f" {remedy}" if remedy else "")
    )


def explained(problem: BaseException, run_dir: Path) -> BaseException:
    """Return a UserError if the disk is full or a process was lost, else `problem`.

    The sentence names the folder whose disk has no room, which may be another than
    that of `run_dir`, such as the one for temporary files.
    """
    if isinstance(problem, UserError):
        return problem
    causes = list(_causes(problem))
    for cause in causes:
        code = _no_room(cause)
        if code is not None:
            return UserError(_no_room_in_words(code, _folder(cause, run_dir)))
    if not is_single_process() and any(w in str(c) for c in causes for w in GONE_WORDS):
        return UserError(GONE)
    return problem


def _no_room_in_words(code: int, folder: Path) -> str:
    what = f"the disk that holds {folder} is full"
    if code not in (errno.ENOSPC, errno.EDQUOT):
        what = f"cannot write in {folder} ({os.strerror(code)})"
    return (
        f"{what}; earlier checkpoints are intact: {NO_ROOM[code]}, and the same "
        "command goes on from the last one."
    )


def _no_room(problem: BaseException) -> int | None:
    """Return the code in `NO_ROOM` that an error is about, or None."""
    code = getattr(problem, "errno", None)
    if code is not None:
        return code if code in NO_ROOM else None
    # Orbax and tensorstore wrap the system's error in one of their own.
    said = str(problem)
    return next((code for code in NO_ROOM if os.strerror(code) in said), None)


def _folder(problem: BaseException, run_dir: Path) -> Path:
    """Return the folder in which writing failed, as far as the error names it.

    An error of writing to an open file names none. The folder is then the run directory
    or that for temporary files, whichever has less free space.
    """
    named = [getattr(problem, "filename", None)]
    named += re.findall(r'"(/[^"]+)"', str(problem))
    for name in filter(None, named):
        path = Path(os.fsdecode(name))
        if path.is_absolute() and not path.is_relative_to(run_dir):
            return next(folder for folder in path.parents if folder.is_dir())
        return run_dir
    return min(run_dir, Path(tempfile.gettempdir()), key=_free)


def _free(folder: Path) -> int:
    return shutil.disk_usage(folder).free


def _causes(problem: BaseException | None) -> Iterator[BaseException]:
    """Yield the exception, and the exceptions that caused it or preceded it."""
    seen = set()
    while problem is not None and id(problem) not in seen:
        seen.add(id(problem))
        yield problem
        yield from _causes(problem.__cause__)
        problem = problem.__context__
