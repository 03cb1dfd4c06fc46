"""Downloads that fail fast without a network and never leave partial files."""

import hashlib
import os
import tempfile
import threading
import urllib.error
import urllib.request
from pathlib import Path

CONNECT_SECONDS = 3.0
STALL_SECONDS = 20.0


class DownloadError(Exception):
    """A file could not be fetched, or is not the published one."""


def _reason(error: Exception) -> str:
    return str(getattr(error, "reason", None) or error) or type(error).__name__


def check_connection(url: str, seconds: float = CONNECT_SECONDS) -> None:
    """Request the header of `url`, within `seconds` in all, name look-up included.

    The request runs in a thread that is abandoned at the deadline, because a name
    look-up takes no timeout. The environment's proxies are used.

    Raises DownloadError if there is no answer, or a refusal.
    """
    outcome = []

    def ask():
        request = urllib.request.Request(url, method="HEAD")
        try:
            urllib.request.urlopen(request, timeout=seconds).close()
            outcome.append(None)
        except Exception as error:
            outcome.append(error)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(seconds)
    # The deadlines of the request and of the thread are equal: either may come first.
    error = outcome[0] if outcome else TimeoutError()
    if isinstance(getattr(error, "reason", error), TimeoutError):
        raise DownloadError(f"{url} did not answer within {seconds:g} s") from error
    if error is not None:
        raise DownloadError(f"{url} cannot be reached ({_reason(error)})") from error


def fetch(url: str, target: Path, md5: str) -> None:
    """Download `url` to `target`, which appears only once it is complete and checked.

    Raises DownloadError if it cannot be fetched or has another md5, OSError if `target`
    cannot be written.
    """
    try:
        with urllib.request.urlopen(url, timeout=STALL_SECONDS) as response:
            content = response.read()
    except Exception as error:
        raise DownloadError(f"{url} broke off ({_reason(error)})") from error
    if _md5(content) != md5:
        raise DownloadError(
            f"{url} has md5 {_md5(content)}, the published file has {md5}"
        )
    with tempfile.NamedTemporaryFile(dir=target.parent, delete=False) as temporary:
        temporary.write(content)
    os.replace(temporary.name, target)


def has_md5(path: Path, md5: str) -> bool:
    """Return whether `path` is a file of this md5."""
    return path.is_file() and _md5(path.read_bytes()) == md5


def _md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()
