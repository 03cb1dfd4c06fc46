"""What ends a run that is nobody's mistake, in a sentence that says what to do."""

import errno
import shlex
from collections.abc import Iterator
from pathlib import Path

from nfml_jax.errors import UserError
from nfml_jax.training.guard import GONE
from nfml_jax.training.meter import Diverged
from nfml_jax.training.processes import alone

FULL = (errno.ENOSPC, errno.EDQUOT)
FULL_WORDS = ("No space left on device", "Disk quota exceeded")

# Of XLA's collectives and of JAX's runtime, when a process isn't there any more.
GONE_WORDS = ("Connection reset", "Connection closed", "heartbeat", "remote process")


def interruption_in_words(wish: str, kept: int, total: int, run_dir: Path) -> str:
    """Of a run that was stopped by a `wish`, when step `kept` was safe on disk."""
    where = f"at step {kept:,} of {total:,}, saved" if kept else "before the first step"
    return (
        f"Stopped by {wish} {where}; the same command with "
        f"--workdir={shlex.quote(str(run_dir))} resumes."
    )


def divergence_in_words(divergence: Diverged, rate: float, kept: int) -> str:
    """Of a run at this learning rate, when step `kept` was safe on disk."""
    last = (
        f"the last good checkpoint is that of step {kept:,}"
        if kept
        else "there is no checkpoint before it"
    )
    return (
        f"The run diverged at step {divergence.step:,}: {divergence}; the learning "
        f"rate was {rate:.3g}, and {last}. The same command with this --workdir and "
        f"--replay={divergence.step} names the operation."
    )


def explained(problem: BaseException, run_dir: Path) -> BaseException:
    """Return a UserError for a full disk or a process that is gone, else `problem`."""
    if isinstance(problem, UserError):
        return problem
    causes = list(_causes(problem))
    if any(_is_full(cause) for cause in causes):
        return UserError(
            f"the disk that holds {run_dir} is full; earlier checkpoints are whole: "
            "free some space, and the same command goes on from the last one."
        )
    if not alone() and any(w in str(c) for c in causes for w in GONE_WORDS):
        return UserError(GONE)
    return problem


def _causes(problem: BaseException | None) -> Iterator[BaseException]:
    """The exception and those that it came of, or came while handling."""
    seen = set()
    while problem is not None and id(problem) not in seen:
        seen.add(id(problem))
        yield problem
        yield from _causes(problem.__cause__)
        problem = problem.__context__


def _is_full(problem: BaseException) -> bool:
    # Orbax and tensorstore wrap the system's error in one of their own.
    code = getattr(problem, "errno", None)
    return code in FULL or any(words in str(problem) for words in FULL_WORDS)
