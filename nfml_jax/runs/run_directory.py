"""The run directory: its lock, and the small JSON files that describe a run.

`config.json` is the config, `status.json` the status, and `result.json` (written last)
the result. Each is replaced atomically, so a reader never sees half a file.
"""

import contextlib
import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import filelock

from nfml_jax.errors import UserError
from nfml_jax.ops.names import flatten
from nfml_jax.runs.migrations import up_to_date
from nfml_jax.runs.run_files import (
    read_config,
    read_result,
    read_status_file,
)

LOG = "terminal.txt"  # the terminal output of a sweep's trial


class InUse(UserError):
    """Another process works in the run directory."""


class RunDirectory:
    """An open run directory, locked; a context manager.

    Nothing is written before `begin`: a run that is refused leaves no directory that it
    made itself, and no config in an existing one. The lock ends with the process,
    however the process ends.

    Of several processes that work in the directory, the one with `writes` writes; the
    others only read, unlocked.

    Raises UserError if the directory can't be written, is in use by another process, or
    holds a checkpoint or the result of another config.
    """

    def __init__(self, path: Path | str, config: dict, *, writes: bool = True):
        self.path = Path(path).expanduser().resolve()
        self._config = json.loads(json.dumps(config))
        self._writes = writes
        if writes:
            self._open()
        try:
            self._refuse_another()
        except BaseException:
            if writes:
                self._lock.release()
            raise

    def _open(self):
        try:
            folders = (self.path, *self.path.parents)
            self._made = [folder for folder in folders if not folder.exists()]
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock = filelock.FileLock(self.path / ".lock", timeout=0)
            self._lock.acquire()
        except filelock.Timeout:
            raise InUse(
                f"another run is using {self.path}; wait for it, or give another "
                "--workdir."
            ) from None
        except OSError as problem:
            raise UserError(
                f"cannot write in {self.path} ({problem.strerror}); give a --workdir "
                "that you may write to."
            ) from None

    def _refuse_another(self):
        earlier, finished = read_config(self.path), read_result(self.path)
        if finished is not None and earlier is None:
            earlier = finished.get("config")
        read_status_file(self.path)
        trained = finished is not None or any(
            folder.name.isdigit() for folder in self.path.glob("checkpoints/*")
        )
        if earlier is not None:
            earlier = up_to_date(earlier)
        if trained and earlier not in (None, up_to_date(self._config)):
            raise UserError(
                f"{self.path} holds a run of another config; these fields differ: "
                f"{differences(earlier, self._config)}. Give another --workdir, or the "
                "same config to resume."
            )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if not self._writes:
            return
        if self._made:
            # Only empty directories are removed.
            with contextlib.suppress(OSError):
                (self.path / ".lock").unlink()
                for folder in self._made:
                    folder.rmdir()
        self._lock.release()

    def begin(self) -> None:
        """Take possession of the directory, now that the run could be built."""
        self._made = []
        self.write("config.json", self._config)
        self.status("running")

    def write(self, name: str, content: Any) -> None:
        """Replace the JSON file `name` atomically."""
        if self._writes:
            replace_json(self.path / name, content)

    def status(self, status: str, step: int | None = None, **more) -> None:
        """Write the status of the run; see `write_status`."""
        if self._writes:
            write_status(self.path, status, step, **more)

    def result(self) -> dict | None:
        """Return the finished run's result, or None if there is none."""
        return read_result(self.path)


def in_use(path: Path) -> bool:
    """Return whether a process works in the run directory of a run that has begun.

    A directory that may not be written counts as in use.
    """
    try:
        with filelock.FileLock(path / ".lock", timeout=0):
            return False
    except OSError:  # among them filelock's
        return True


def write_status(path: Path, status: str, step: int | None = None, **more) -> None:
    """Write the status of the run in `path`, one of `file_fields.STATUSES`.

    `step` is the last step that is safe on disk; None leaves the old one.
    """
    if step is None:
        step = read_status_file(path).get("step", 0)
    content = {"status": status, "step": step, "time": time.time(), **more}
    replace_json(path / "status.json", content)


def replace_json(path: Path, content: Any) -> None:
    """Write `content` to `path` atomically, as JSON."""
    replace_text(path, json.dumps(content, indent=2) + "\n")


def replace_text(path: Path, text: str) -> None:
    """Write `text` to `path` atomically.

    A reader, or a crash, sees the old text or the new.
    """
    draft = path.with_name(f".{path.name}.draft")
    with draft.open("w", encoding="utf-8", newline="\n") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(draft, path)


def differences(there: Mapping, here: Mapping, most: int = 12) -> str:
    """Describe the fields of two nested mappings that differ."""
    there, here = flatten(there), flatten(here)
    absent = "absent"
    words = [
        f"{key} is {there.get(key, absent)!r} there and {here.get(key, absent)!r} here"
        for key in sorted(there.keys() | here.keys())
        if there.get(key, absent) != here.get(key, absent)
    ]
    more = [f"{len(words) - most} more"] if len(words) > most else []
    return "; ".join(words[:most] + more)
