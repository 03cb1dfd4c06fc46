"""The behavior that all commands share: mistakes and warnings as single sentences.

`nfml train` uses `answer`, and the other subcommands the decorator `command`.
"""

import argparse
import functools
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from nfml_jax.cli.standard_streams import standard_streams
from nfml_jax.errors import UserError
from nfml_jax.ops.extras import explain_missing

if TYPE_CHECKING:
    from nfml_jax.terminal.terminal import Terminal

MISTAKE = 2
"""The exit code after an error that the user can correct."""
STOPPED = 130
"""The exit code after Ctrl-C."""


def answer(function: Callable[[], object], stopped: str = "Stopped.") -> int:
    """Run `function` as a command, and return the command's exit code.

    The code is the integer that `function` returns, or 0. A `UserError`, or the lack of
    a package that an extra installs, is printed as one sentence and gives `MISTAKE`;
    Ctrl-C prints `stopped` and gives `STOPPED`. The reader of the output may leave, as
    `standard_streams` describes.
    """
    with standard_streams():
        try:
            try:
                code = function()
            finally:
                sys.stdout.flush()
        except (UserError, ImportError) as problem:
            mistake = problem
            if isinstance(problem, ImportError):
                mistake = explained(problem, "this command")
            if not isinstance(mistake, UserError):
                raise
            print(f"error: {mistake}", file=sys.stderr)
            return MISTAKE
        except KeyboardInterrupt:
            print(stopped, file=sys.stderr)
            return STOPPED
    return code if isinstance(code, int) else 0


def explained(problem: ImportError, what: str) -> ImportError:
    """Return the error, which names the missing extra of `what` if there is one."""
    return explain_missing(problem, what, whole=True) or problem


def command(main: Callable[..., int | None]) -> Callable[..., int]:
    """Return `main` as a command that handles errors as `answer` does."""

    @functools.wraps(main)
    def answered(arguments=None) -> int:
        with warnings.catch_warnings():
            warnings.showwarning = _warn
            return answer(lambda: main(arguments))

    return answered


DESCRIBE = ("--describe",)
"""The arguments for which a command raises `Described` in place of its work."""


class Described(Exception):
    """An exception that carries the parser of a command to code that lists commands."""

    def __init__(self, parser: argparse.ArgumentParser):
        super().__init__(parser.prog)
        self.parser = parser


class Parser(argparse.ArgumentParser):
    """A parser that raises `Described` for the arguments `DESCRIBE`."""

    def parse_args(self, args=None, namespace=None):
        """Return the parsed arguments, or raise `Described` if they are `DESCRIBE`."""
        if args is DESCRIBE:
            raise Described(self)
        return super().parse_args(args, namespace)


def make_parser(name: str, doc: str | None, program: str = "nfml") -> Parser:
    """Return the parser of `nfml NAME`, whose help begins with its docstring."""
    return Parser(
        prog=f"{program} {name}",
        description=doc,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def open_terminal() -> "Terminal":
    """Return the terminal of `nfml train`, which shows warnings as sentences, too.

    It imports JAX. Flags are therefore checked before, so that a mistake in them is
    reported at once.
    """
    from absl import logging

    from nfml_jax.terminal.terminal import Terminal

    logging.set_verbosity(logging.ERROR)  # JAX reports every absent device to absl
    terminal = Terminal()
    warnings.showwarning = lambda message, *_: terminal.warning(str(message))
    return terminal


def _warn(message, *_) -> None:
    print(f"warning: {message}", file=sys.stderr)


@contextmanager
def writing(path: Path, option: str = "--output") -> Iterator[None]:
    """Raise UserError if writing to `path` fails, which `option` of a command names."""
    try:
        yield
    except OSError as problem:
        raise UserError(
            f"cannot write {path} ({problem.strerror}); give another {option}."
        ) from None
