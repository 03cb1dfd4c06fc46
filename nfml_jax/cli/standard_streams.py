"""Standard output and error of commands, which survive the loss of their reader."""

import contextlib
import io
import os
import sys
from collections.abc import Iterator

from nfml_jax.errors import UserError

NAMES = {"stdout": "standard output", "stderr": "standard error"}


@contextlib.contextmanager
def standard_streams() -> Iterator[None]:
    """Replace `sys.stdout` and `sys.stderr` by streams that never give a traceback.

    A stream that was closed (`>&-`) is opened on the null device. So is one whose
    reader has gone (`| head`), from then on. Any other error of writing, such as that
    of a full disk, raises a `UserError` once, and the stream is silent afterwards. A
    character that the stream's encoding lacks is replaced. Streams that are not the
    process's own, such as those of a notebook or a test, stay as they are.
    """
    _open_closed()
    before = {name: getattr(sys, name) for name in NAMES}
    for name, stream in before.items():
        if stream is None or stream is getattr(sys, f"__{name}__"):
            setattr(sys, name, _safe(stream, name))
    try:
        yield
    finally:
        for name, stream in before.items():
            getattr(sys, name).flush()
            setattr(sys, name, stream)


def _open_closed() -> None:
    """Open the null device as standard input, output or error where it is closed.

    Otherwise the next file to be opened would get its number, and receive the output.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            null = os.open(os.devnull, os.O_RDWR)  # the lowest number that is free
            os.set_inheritable(null, True)


def _safe(stream, name: str):
    """Return a text stream to the same file as `stream`, or to the null device."""
    if stream is None:
        return open(os.devnull, "w", encoding="utf-8")
    stream.flush()
    raw = _Output(stream.fileno(), "w", closefd=False)
    raw.words = NAMES[name]
    return io.TextIOWrapper(
        raw if stream.write_through else io.BufferedWriter(raw),
        stream.encoding,
        "backslashreplace" if name == "stderr" else "replace",
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )


class _Output(io.FileIO):
    """A file that is replaced by the null device as soon as a write fails."""

    words = ""

    def write(self, data) -> int:
        try:
            return super().write(data)
        except OSError as problem:
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self.fileno())
            os.close(null)
            if isinstance(problem, BrokenPipeError):
                return len(data)
            raise UserError(
                f"cannot write to {self.words} ({problem.strerror}); send it to "
                "another file or disk."
            ) from None
