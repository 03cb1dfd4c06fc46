"""The run directory: who may write in it, and the small JSON files that describe a run.

`config.json` says what runs, `status.json` how it stands, `result.json` (written last)
what came out. Each is replaced atomically, so a reader never sees half a file.
"""

import importlib.metadata
import json
import os
import platform
import subprocess
import time
from pathlib import Path
from typing import Any

import filelock
import jax

from nfml_jax import __version__
from nfml_jax.errors import UserError
from nfml_jax.names import flatten

PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")


class RunDirectory:
    """An open run directory: locked, holding the config it was made for.

    Raises UserError when it can't be written, is in use by another process, or belongs
    to a run of another config. Use as a context manager; the lock ends with the process
    however that ends.
    """

    def __init__(self, path: Path | str, config: dict):
        self.path = Path(path).expanduser().resolve()
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock = filelock.FileLock(self.path / ".lock", timeout=0)
            self._lock.acquire()
        except filelock.Timeout:
            raise UserError(
                f"another run is using {self.path}; wait for it, or give another "
                "--workdir."
            ) from None
        except OSError as problem:
            raise UserError(
                f"cannot write in {self.path} ({problem.strerror}); give a --workdir "
                "that you may write to."
            ) from None
        try:
            self._adopt(json.loads(json.dumps(config)))
        except BaseException:
            self._lock.release()
            raise

    def _adopt(self, config):
        earlier = read_json(self.path / "config.json")
        if earlier is None:
            self.write("config.json", config)
        elif earlier != config:
            raise UserError(
                f"{self.path} holds a run of another config; these fields differ: "
                f"{'; '.join(_differences(earlier, config))}. Give another --workdir, "
                "or the same config to resume."
            )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._lock.release()

    def write(self, name: str, content: Any) -> Path:
        """Replace the JSON file `name` in one go."""
        target = self.path / name
        draft = target.with_name(f".{name}.draft")
        draft.write_text(json.dumps(content, indent=2) + "\n")
        os.replace(draft, target)
        return target

    def status(self, status: str, step: int | None = None, **more) -> None:
        """Say how the run stands: running, done, interrupted, diverged or failed.

        `step` is the last one that is safe on disk; None leaves it as it was.
        """
        if step is None:
            step = (read_json(self.path / "status.json") or {"step": 0})["step"]
        self.write(
            "status.json", {"status": status, "step": step, "time": time.time(), **more}
        )

    def result(self) -> dict | None:
        """The finished run's result, or None while there is none."""
        return read_json(self.path / "result.json")


def read_json(path: Path) -> Any:
    """The file's content, or None if it isn't there; UserError if it isn't JSON."""
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        return None
    except (json.JSONDecodeError, UnicodeDecodeError):
        raise UserError(
            f"{path} is not valid JSON; restore it, or give another --workdir."
        ) from None


def versions() -> dict[str, str]:
    """The versions that decide a run's numbers."""
    found = {"python": platform.python_version(), "nfml_jax": __version__}
    return found | {name: importlib.metadata.version(name) for name in PACKAGES}


def device_description(devices: list[jax.Device]) -> str:
    """For example "2 × NVIDIA H100 80GB HBM3" or "1 × cpu (2 cores)"."""
    kind = devices[0].device_kind
    if devices[0].platform == "cpu":
        kind = (
            f"cpu ({len(os.sched_getaffinity(0))} cores)"
            if hasattr(os, "sched_getaffinity")
            else f"cpu ({os.cpu_count()} cores)"
        )
    return f"{len(devices)} × {kind}"


def revision() -> str | None:
    """The git revision of the source tree, "+changes" if it has any; None outside."""
    here = Path(__file__).parent

    def git(*args):
        return subprocess.run(
            ["git", *args], cwd=here, capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        # An installed copy may lie inside somebody else's repository.
        if git("ls-files", "--", Path(__file__).name) == "":
            return None
        changes = git("status", "--porcelain", "--untracked-files=no")
        return git("rev-parse", "HEAD") + ("+changes" if changes else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def _differences(earlier, config):
    earlier, config = flatten(earlier), flatten(config)
    absent = "absent"
    return [
        f"{key} is {earlier.get(key, absent)!r} there and {config.get(key, absent)!r} "
        "here"
        for key in sorted(earlier.keys() | config.keys())
        if earlier.get(key, absent) != config.get(key, absent)
    ]
