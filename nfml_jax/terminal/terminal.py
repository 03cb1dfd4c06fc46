"""The output for the person who started a run: what runs, its progress, its results.

A terminal gets colors and a live bar; anything else (a file, a pipe, a batch system's
log) gets the same facts as plain lines without control characters.
"""

import math
import os
import shlex
import sys
import textwrap
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.live import Live
from rich.text import Text

from nfml_jax.ops.units import format_metric
from nfml_jax.terminal.progress import LiveProgress, PlainProgress, Progress

LIVE_PER_SECOND = 2


class Terminal:
    """The output of a run on `stream` (default: stdout).

    `interactive` chooses between the live and the plain rendering; by default the
    stream decides. Colors follow `NO_COLOR`, the width follows the terminal.
    """

    def __init__(self, *, stream=None, interactive: bool | None = None):
        stream = sys.stdout if stream is None else stream
        if interactive is None:
            interactive = stream.isatty() and os.environ.get("TERM") != "dumb"
        if reconfigure := getattr(stream, "reconfigure", None):
            # An ASCII log loses a degree sign rather than the run.
            reconfigure(errors="replace")
        self.interactive = interactive
        self._console = Console(
            file=stream, force_terminal=interactive, highlight=False
        )

    def header(self, title: str, rows: dict[str, str]):
        """Print the title of a run, and rows of two columns."""
        self._print(Text(title, "bold"))
        self._rows(rows)
        self._print()

    def note(self, sentence: str):
        """Print a sentence."""
        self._say(Text(sentence))

    def warning(self, sentence: str):
        """Print a sentence that must not be overlooked."""
        self._say(Text(f"WARNING: {sentence}", "bold yellow"))

    def progress(
        self, total_steps: int, first_step: int = 0, log_every: int = 0
    ) -> Progress:
        """Return a context that shows a run from `first_step` to `total_steps`.

        Plain lines come every `log_every` steps, or a multiple of it that gives at most
        `PLAIN_LINES`.
        """
        if self.interactive:
            return LiveProgress(self._console, total_steps, first_step)
        return PlainProgress(self._console, total_steps, first_step, log_every)

    def live(
        self, render: Callable[[int, int], RenderableType]
    ) -> AbstractContextManager:
        """Return a context that draws `render(width, height)` on a terminal."""
        if not self.interactive:
            return nullcontext()
        console = self._console
        return Live(
            console=console,
            get_renderable=lambda: render(console.width, console.height),
            refresh_per_second=LIVE_PER_SECOND,
        )

    def summary(self, title: str, rows: Mapping[str, float | str]):
        """Print the final metrics, each in its unit, with those of baselines beside.

        A baseline's metric is named like the model's, after the baseline's name and a
        slash: "pca/test/accuracy" is shown in the row of "test/accuracy".
        """
        self._print()
        self._print(Text(title, "bold"))
        shown = {name: format_metric(name, value) for name, value in rows.items()}
        for name in rows:
            section, _, compared = name.partition("/")
            if compared in shown:
                shown[compared] += f"   {section} {shown.pop(name)}"
        self._rows(shown)

    def results(self, paths: dict[str, Path]):
        """Print where the results are, and the command that shows them."""
        folder = Path(
            os.path.commonpath([Path(path).resolve() for path in paths.values()])
        )
        rows = {name: _short(path) for name, path in paths.items()}
        rows["to look at it"] = f"tensorboard --logdir {shlex.quote(_short(folder))}"
        self._print()
        self._print(Text("Results", "bold"))
        # The command is not broken, so that it can be copied.
        self._rows(rows, wrap=False)

    def _rows(self, rows: dict[str, str], wrap: bool = True):
        indent = max(map(cell_len, rows), default=0) + 4
        width = math.inf
        if wrap and self.interactive:
            width = max(self._console.width - indent, 16)
        for name, value in rows.items():
            lines = [
                piece
                for line in str(value).splitlines() or [""]
                for piece in _wrap(line, width)
            ]
            gap = " " * (indent - 2 - cell_len(name))
            block = ("\n" + " " * indent).join(lines)
            self._print(Text.assemble("  ", (name, "cyan"), gap, block))

    def _say(self, sentence: Text):
        """Print a sentence, broken between words on a terminal only."""
        self._console.print(sentence, soft_wrap=not self.interactive)

    def _print(self, text: Text | str = ""):
        self._console.print(text, soft_wrap=True)


def silent() -> Terminal:
    """Return a terminal that prints nothing, for all processes but the first."""
    return Terminal(stream=open(os.devnull, "w"), interactive=False)


def _wrap(line: str, width: float) -> list[str]:
    if cell_len(line) <= width:
        return [line]
    return textwrap.wrap(line, int(width), break_on_hyphens=False)


def _short(path: Path) -> str:
    """Return `path` relative to the working directory, if it lies in it."""
    path = Path(path).resolve()
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
