"""The JSON files of a run directory; each is read and checked here.

A run directory may come from anybody, or be damaged. A file that is not JSON, or lacks
its fields, raises a `UserError` of one sentence that names the file. A missing file is
None.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nfml_jax.errors import UserError
from nfml_jax.runs.file_fields import CONFIG, RESULT, STATUS, problem_of

_ABSENT = object()


def read_json(path: Path, absent: Any = None) -> Any:
    """Return the content of a JSON file, or `absent` if it isn't there."""
    try:
        content = json.loads(path.read_bytes().decode())
        # An unpaired surrogate is a text that cannot be printed.
        json.dumps(content, ensure_ascii=False).encode()
        return content
    except (FileNotFoundError, NotADirectoryError):
        return absent
    except (ValueError, RecursionError):
        raise _unusable(path, "is not valid JSON") from None
    except IsADirectoryError:
        raise _unusable(path, "is a folder and not a file") from None
    except OSError as problem:
        raise _unusable(path, f"can't be read ({problem.strerror})") from None


def read_config(path: Path) -> dict | None:
    """Return the config of the run directory `path`, or None without one."""
    return read_checked(path / "config.json", CONFIG, "config of a run")


def read_status_file(path: Path) -> dict:
    """Return the status of the run in the directory `path`; without a file, pending."""
    found = read_checked(path / "status.json", STATUS, "status of a run")
    return found or {"status": "pending", "step": 0}


def read_result(path: Path) -> dict | None:
    """Return the result of the run directory `path`, or None without one."""
    return read_checked(path / "result.json", RESULT, "result of a run")


def read_checked(path: Path, fields: Mapping, what: str) -> dict | None:
    """Return a file's content, or None; without the `fields` it is not a `what`."""
    content = read_json(path, _ABSENT)  # a file with null is not a missing file
    return None if content is _ABSENT else checked(content, fields, path, what)


def checked(content: Any, fields: Mapping, path: Path, what: str) -> dict:
    """Return `content`, read from `path`, if it has the `fields` of `what`."""
    problem = problem_of(content, fields)
    if problem:
        raise _unusable(path, f"is no {what} ({problem})")
    return content


def _unusable(path: Path, problem: str) -> UserError:
    return UserError(
        f"{path} {problem}; restore it, or give another run directory (--workdir)."
    )
