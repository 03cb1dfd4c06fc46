"""The progress of a training run: a live bar on a terminal, else plain lines."""

import math
import time
from collections import deque

from rich.cells import cell_len
from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from nfml_jax.ops.units import format_flops, format_metric, format_seconds

# Measures that come first, because a narrow line leaves out the last.
HEADLINES = ("loss", "accuracy")

PLAIN_WIDTH = 100  # columns of a plain line of progress
PLAIN_LINES = 25  # a short run has a line at logged steps, at most this many
PLAIN_SECONDS = 10.0  # seconds after which a line is printed in any case
REFRESHES_PER_SECOND = 4
SPEED_WINDOW_SECONDS = 30.0


class Progress:
    """The progress of a run; the base of the live and the plain rendering.

    The first update starts the clock: the time before it was spent on compilation.
    `flops` are those of an example, 0 if they are unknown.
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
        """Take `values` at `step`, with `examples` since the last update.

        Has no effect once the context has ended.
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
        """Return the seconds left at the run's mean speed, with pauses, or None."""
        if self._start is None or self._step <= self._start[1]:
            return None
        now, step, _ = self._recent[-1]
        pace = (now - self._start[0]) / (step - self._start[1])
        return pace * (self._total - step)

    def _examples_per_second(self) -> float | None:
        """Return the examples per second of the last half minute, or None."""
        if len(self._recent) < 2:
            return None
        (then, _, before), (now, _, after) = self._recent[0], self._recent[-1]
        return (
            (after - before) / (now - then) if now > then and after > before else None
        )

    def _time(self) -> str:
        """Return the time left, or, at the end, the time taken."""
        if self._step >= self._total:
            end = self._recent[-1][0] if self._recent else self._entered
            return f"took {format_seconds(end - self._entered)}"
        left = self._seconds_left()
        return "" if left is None else f"{format_seconds(left)} left"

    def _measures(self) -> list[str]:
        """Return values and speed, the most important first."""
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
        """The live display draws itself from its own thread."""

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
    """A line at the first and the last update, and at intervals between them."""

    def __init__(self, console: Console, total: int, first_step: int, log_every: int):
        super().__init__(console, total, first_step)
        self._printed: tuple[float, int] | None = None
        # A multiple of the logging interval, so that the lines show logged values.
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


def _fit(parts: list[str], width: int) -> str:
    """Return as many of the first parts as `width` columns hold, at least one."""
    line = ""
    for part in parts:
        longer = f"{line}  {part}" if line else part
        if line and cell_len(longer) > width:
            break
        line = longer
    return line
