"""What the person who started a run sees: what runs, how far it is, what came out.

On a terminal, with colours and a live bar; anywhere else (a file, a pipe, a batch
system's log), the same facts as plain lines without control characters.
"""

import math
import os
import re
import shlex
import sys
import textwrap
import time
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

# Metrics by the words of their names, first match first; what matches none has no unit.
UNITS = (
    ({"angle", "angles"}, lambda value: f"{value:.2f}°"),
    ({"threshold"}, lambda value: f"{value:.4f}"),
    ({"accuracy", "eer", "tar", "auc"}, lambda value: f"{100 * value:.2f}%"),
)
# Shown first, because a narrow line leaves out the last.
HEADLINES = ("loss", "accuracy")

PLAIN_WIDTH = 100  # columns of a plain line of progress
PLAIN_LINES = 25  # of a quick run, at steps that are logged, ...
PLAIN_SECONDS = 10.0  # ... and one after so long in any case
REFRESHES_PER_SECOND = 4
LIVE_PER_SECOND = 2
SPEED_WINDOW_SECONDS = 30.0


class Terminal:
    """Speaks to the person who started the run, on ``stream`` (default: stdout).

    ``interactive`` chooses between the live and the plain rendering; by default it is
    what the stream is. Colours follow ``NO_COLOR``, the width follows the terminal.
    """

    def __init__(self, *, stream=None, interactive: bool | None = None):
        stream = sys.stdout if stream is None else stream
        if interactive is None:
            interactive = stream.isatty() and os.environ.get("TERM") != "dumb"
        if hasattr(stream, "reconfigure"):
            # An ASCII log loses a degree sign rather than the run.
            stream.reconfigure(errors="replace")
        self.interactive = interactive
        self._console = Console(
            file=stream, force_terminal=interactive, highlight=False
        )

    def header(self, title: str, rows: dict[str, str]):
        """What will run, as a block of two columns."""
        self._print(Text(title, "bold"))
        self._rows(rows)
        self._print()

    def note(self, sentence: str):
        """One sentence in passing."""
        self._say(Text(sentence))

    def warning(self, sentence: str):
        """One sentence that must not be overlooked."""
        self._say(Text(f"WARNING: {sentence}", "bold yellow"))

    def progress(
        self, total_steps: int, first_step: int = 0, log_every: int = 0
    ) -> "Progress":
        """A context manager that shows a run from ``first_step`` to ``total_steps``.

        Plain lines come every ``log_every`` steps, or a multiple of it that makes no
        more than ``PLAIN_LINES``.
        """
        if self.interactive:
            return LiveProgress(self._console, total_steps, first_step)
        return PlainProgress(self._console, total_steps, first_step, log_every)

    def live(
        self, render: Callable[[int, int], RenderableType]
    ) -> AbstractContextManager:
        """While open draws, on a terminal, what `render(width, height)` gives."""
        if not self.interactive:
            return nullcontext()
        console = self._console
        return Live(
            console=console,
            get_renderable=lambda: render(console.width, console.height),
            refresh_per_second=LIVE_PER_SECOND,
        )

    def summary(self, title: str, rows: dict[str, float | str]):
        """The final metrics, each in its unit."""
        self._print()
        self._print(Text(title, "bold"))
        self._rows({name: format_metric(name, value) for name, value in rows.items()})

    def results(self, paths: dict[str, Path]):
        """Where the results are, and how to look at them."""
        folder = Path(
            os.path.commonpath([Path(path).resolve() for path in paths.values()])
        )
        rows = {name: _short(path) for name, path in paths.items()}
        rows["to look at it"] = f"tensorboard --logdir {shlex.quote(_short(folder))}"
        self._print()
        self._print(Text("Results", "bold"))
        # Unbroken, to be copied.
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
        """Prints a sentence, broken between words on a terminal only."""
        self._console.print(sentence, soft_wrap=not self.interactive)

    def _print(self, text: Text | str = ""):
        self._console.print(text, soft_wrap=True)


def silent() -> Terminal:
    """One that says nothing: of several processes one is enough."""
    return Terminal(stream=open(os.devnull, "w"), interactive=False)


class Progress:
    """How far a run is; the base of the live and the plain rendering.

    The first update is the clock's start: the time before it went into compilation.
    ``flops`` are those of an example, 0 if they are unknown.
    """

    flops = 0.0

    def __init__(self, console: Console, total_steps: int, first_step: int):
        self._console = console
        self._total = total_steps
        self._step = first_step
        self._values: dict[str, float] = {}
        self._entered = time.monotonic()
        self._active = False
        # (time, step, examples) of the first update, and of the last half minute.
        self._start: tuple[float, int, int] | None = None
        self._recent: deque[tuple[float, int, int]] = deque()

    def __enter__(self):
        self._active = True
        self._entered = time.monotonic()
        return self

    def __exit__(self, *exception):
        self._active = False

    def update(self, step: int, *, examples: int = 0, **values: float):
        """The run is at ``step``, with ``values``, ``examples`` after the last update.

        Does nothing once the context has ended.
        """
        if not self._active:
            return
        now = time.monotonic()
        seen = self._recent[-1][2] if self._recent else 0
        self._recent.append((now, step, seen + examples))
        self._start = self._start or self._recent[0]
        while len(self._recent) > 2 and now - self._recent[0][0] > SPEED_WINDOW_SECONDS:
            self._recent.popleft()
        self._step, self._values = step, values
        self._show()

    def _show(self):
        raise NotImplementedError

    def _seconds_left(self) -> float | None:
        """Of the whole run, at its mean pace, pauses included; None if unknown."""
        if self._start is None or self._step <= self._start[1]:
            return None
        now, step, _ = self._recent[-1]
        pace = (now - self._start[0]) / (step - self._start[1])
        return pace * (self._total - step)

    def _examples_per_second(self) -> float | None:
        """Over the last half minute; None if unknown."""
        if len(self._recent) < 2:
            return None
        (then, _, before), (now, _, after) = self._recent[0], self._recent[-1]
        return (
            (after - before) / (now - then) if now > then and after > before else None
        )

    def _time(self) -> str:
        """The time left, or, at the end, the time taken."""
        if self._step >= self._total:
            end = self._recent[-1][0] if self._recent else self._entered
            return f"took {format_seconds(end - self._entered)}"
        left = self._seconds_left()
        return "" if left is None else f"{format_seconds(left)} left"

    def _measures(self) -> list[str]:
        """Values and speed, the most important first."""
        headlines = [name for name in HEADLINES if name in self._values]
        others = [name for name in self._values if name not in HEADLINES]
        speed = self._examples_per_second()
        return [
            *(
                f"{name} {format_metric(name, self._values[name])}"
                for name in headlines
            ),
            *([] if speed is None else [f"{speed:.0f} examples/s"]),
            *([format_flops(speed * self.flops, "/s")] if speed and self.flops else []),
            *(f"{name} {format_metric(name, self._values[name])}" for name in others),
        ]


class LiveProgress(Progress):
    """A bar with the steps and the time left, and a line of values below it."""

    def __init__(self, console: Console, total_steps: int, first_step: int):
        super().__init__(console, total_steps, first_step)
        self._live = Live(
            console=console,
            get_renderable=self._render,
            refresh_per_second=REFRESHES_PER_SECOND,
        )

    def __enter__(self):
        super().__enter__()
        self._live.start(refresh=True)
        return self

    def __exit__(self, *exception):
        super().__exit__(*exception)
        self._live.stop()

    def _show(self):
        """Nothing to do: the live display draws itself from its own thread."""

    def _render(self):
        bar = Table.grid(padding=(0, 2), expand=True)
        for ratio in (None, 1, None, None):
            bar.add_column(ratio=ratio, no_wrap=True)
        fraction = self._step / self._total if self._total else 1.0
        bar.add_row(
            f"  {self._step}/{self._total}",
            ProgressBar(
                total=max(self._total, 1),
                completed=self._step,
                complete_style="cyan",
                finished_style="green",
            ),
            f"{math.floor(100 * fraction):3d}%",
            self._time(),
        )
        if self._start is None and self._step < self._total and self._active:
            waited = format_seconds(time.monotonic() - self._entered)
            measures = [f"compiling the first step, {waited}"]
        else:
            measures = self._measures()
        line = _fit(measures, self._console.width - 2)
        return Group(bar, Text(f"  {line}", no_wrap=True, overflow="ellipsis"))


class PlainProgress(Progress):
    """A line at the first and the last update, and now and then between them."""

    def __init__(self, console: Console, total: int, first_step: int, log_every: int):
        super().__init__(console, total, first_step)
        self._printed: tuple[float, int] | None = None
        # A multiple of what is logged, so that the file's lines are among the log's.
        every = max(log_every, 1)
        self._every = every * max(1, math.ceil(total / (PLAIN_LINES * every)))

    def __exit__(self, *exception):
        super().__exit__(*exception)
        if self._printed and self._printed[1] != self._step:
            self._line()

    def _show(self):
        if self._printed is not None:
            then, step = self._printed
            waited = time.monotonic() - then >= PLAIN_SECONDS
            due = self._step // self._every > step // self._every
            if not (waited or due or self._step >= self._total):
                return
        self._line()

    def _line(self):
        self._printed = time.monotonic(), self._step
        position, left = f"step {self._step}/{self._total}", self._time()
        room = PLAIN_WIDTH - len(position) - len(left) - 4
        parts = [position, _fit(self._measures(), room), left]
        line = "  ".join(part for part in parts if part)
        self._console.print(Text(line), soft_wrap=True)


def format_metric(name: str, value: float | str) -> str:
    """A metric as a person reads it: 98.70%, 35.21°, 0.6123; a string stays itself."""
    if isinstance(value, str):
        return value
    value = float(value)
    if not math.isfinite(value):
        return str(value)
    words = set(re.split(r"[^a-z]+", name.lower()))
    for known, form in UNITS:
        if words & known:
            return form(value)
    if value.is_integer() or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.4f}" if abs(value) >= 1e-3 else f"{value:.2e}"


def format_flops(flops: float, per: str = "") -> str:
    """A number of operations: 812 FLOP, 2.35 GFLOP/s."""
    for prefix in ("", "k", "M", "G", "T", "P"):
        if flops < 999.5 or prefix == "P":
            return f"{flops:.3g} {prefix}FLOP{per}"
        flops /= 1000


def format_seconds(seconds: float) -> str:
    """``0:42``, ``12:05`` or ``27:46:40``."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def _fit(parts: list[str], width: int) -> str:
    """As many of the first parts as ``width`` columns hold, at least one."""
    line = ""
    for part in parts:
        longer = f"{line}  {part}" if line else part
        if line and cell_len(longer) > width:
            break
        line = longer
    return line


def _wrap(line: str, width: float) -> list[str]:
    if cell_len(line) <= width:
        return [line]
    return textwrap.wrap(line, int(width), break_on_hyphens=False)


def _short(path: Path) -> str:
    """``path`` as seen from the working directory, if it lies in it."""
    path = Path(path).resolve()
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
