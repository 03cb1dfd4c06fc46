"""What the package's commands share: mistakes and warnings are one sentence each."""

import argparse
import functools
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from nfml_jax.errors import UserError

MISTAKE = 2
"""The exit code of what the user can mend."""


def command(main: Callable[..., None]) -> Callable[..., int]:
    """`main` as a command: its exit code is 0, or after a `UserError` `MISTAKE`."""

    @functools.wraps(main)
    def answered(arguments=None) -> int:
        with warnings.catch_warnings():
            warnings.showwarning = _warn
            try:
                main(arguments)
            except UserError as mistake:
                print(f"error: {mistake}", file=sys.stderr)
                return MISTAKE
        return 0

    return answered


def make_parser(module: str, doc: str) -> argparse.ArgumentParser:
    """The parser of `python -m module`, whose help begins with its docstring."""
    return argparse.ArgumentParser(
        prog=f"python -m {module}",
        description=doc,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def _warn(message, *_) -> None:
    print(f"warning: {message}", file=sys.stderr)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Around what writes a command's --output: `UserError` where it cannot."""
    try:
        yield
    except OSError as problem:
        raise UserError(
            f"cannot write {path} ({problem.strerror}); give another --output."
        ) from None
