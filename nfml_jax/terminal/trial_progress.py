"""The progress of a sweep's trials, communicated through their run directories.

A trial's terminal is its log `terminal.txt`; beside it, `progress.json` has its step
and its number of steps, for viewers in other processes.
"""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nfml_jax.runs.file_fields import PROGRESS
from nfml_jax.runs.run_directory import replace_json
from nfml_jax.runs.run_files import read_checked, read_status_file
from nfml_jax.runs.writers import METRICS_FILE
from nfml_jax.terminal.progress import PlainProgress
from nfml_jax.terminal.terminal import Terminal

PROGRESS_FILE = "progress.json"
SECONDS = 1.0  # seconds between two writings of it
LOSS = "train/loss"
TAIL = 8192  # bytes of a log that hold its last losses


class TrialTerminal(Terminal):
    """A terminal for the trials of a program: plain lines, and progress files."""

    def __init__(self, stream, paths: Sequence[Path]):
        super().__init__(stream=stream, interactive=False)
        self._paths = paths

    def progress(self, total_steps, first_step=0, log_every=0) -> PlainProgress:
        return _TrialProgress(
            self._paths, self._console, total_steps, first_step, log_every
        )


class _TrialProgress(PlainProgress):
    def __init__(self, paths, *parts):
        super().__init__(*parts)
        self._paths, self._written = paths, float("-inf")

    def _show(self):
        super()._show()
        now = time.monotonic()
        if now - self._written >= SECONDS or self._step >= self._total:
            self._written = now
            content = {"step": self._step, "total": self._total, "time": time.time()}
            for path in self._paths:
                replace_json(path / PROGRESS_FILE, content)


@dataclass(frozen=True)
class Standing:
    """The state of a trial: its status, its step of `total` (0: unknown), its loss."""

    status: str
    step: int = 0
    total: int = 0
    loss: float | None = None
    error: str = ""


def standing(path: Path) -> Standing:
    """Return the state of a trial from its run directory."""
    status = read_status_file(path)
    progress = read_checked(path / PROGRESS_FILE, PROGRESS, "progress of a run")
    progress = progress or {"step": 0, "total": 0}
    return Standing(
        status["status"],
        progress["step"],
        progress["total"],
        _last_loss(path / METRICS_FILE),
        status.get("error", ""),
    )


def _last_loss(path: Path) -> float | None:
    """Return the last training loss of a log that may still be written."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - TAIL))
            lines = file.read().splitlines()
    except OSError:
        return None
    for line in reversed(lines):
        if LOSS.encode() in line:
            try:
                return float(json.loads(line)[LOSS])
            except (ValueError, TypeError, KeyError):
                continue  # an incomplete line
    return None
