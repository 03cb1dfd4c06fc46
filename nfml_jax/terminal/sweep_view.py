"""The terminal view of a running sweep: a line for each trial that fits the screen.

It reads the run directories, so it is the same for every executor. On a terminal the
lines are redrawn, with running trials first; elsewhere a trial gets one line when it
has ended.
"""

import math
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from rich.console import Group, JustifyMethod
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from nfml_jax.ops.units import format_metric, format_seconds
from nfml_jax.terminal.terminal import Terminal
from nfml_jax.terminal.trial_progress import PROGRESS_FILE, Standing, standing

# The order in which a full screen shows the statuses.
STYLES = {
    "running": "bold cyan",
    "failed": "bold red",
    "diverged": "red",
    "pruned": "magenta",
    "interrupted": "yellow",
    "done": "green",
    "pending": "dim",
}
# The order of the totals; finished trials stand before them.
NOTED = [status for status in STYLES if status not in ("done", "pending")]
BAR_COLUMNS = 16
WIDE = 72  # columns of a screen that has room for bars
SPARE_LINES = 3  # lines of the screen below the trials
WATCHED = ("status.json", PROGRESS_FILE)


class SweepView:
    """A context that shows the trials of these run directories."""

    def __init__(self, terminal: Terminal, paths: Sequence[Path]):
        self._terminal, self._paths = terminal, paths
        self._places = {path: i for i, path in enumerate(paths, start=1)}
        self._seen: dict[Path, tuple[tuple, Standing]] = {}
        self._began, self._ended = time.monotonic(), 0
        self._live = terminal.live(self.render)

    def __enter__(self):
        self._live.__enter__()
        return self

    def __exit__(self, *exception):
        self._live.__exit__(*exception)

    def ended(self, path: Path, record: dict) -> None:
        """Show that the trial in `path` has ended, as its record says."""
        self._ended += 1
        if self._terminal.interactive and record["status"] == "done":
            return  # the line in the view says so
        how = f"{record['wall_s']:.0f} s" if "wall_s" in record else ""
        how = record.get("error", how)
        width = len(str(len(self._paths)))
        place = f"{self._places[path]:{width}}/{len(self._paths)}"
        line = f"{place}  {path.name}  {record['status']}  {how}"
        self._terminal.note(line.rstrip())

    def render(self, width: int, height: int):
        """Return a line for each trial for which `height` has room, and the totals."""
        rows = [(path, self._standing(path)) for path in self._paths]
        room = max(height - SPARE_LINES, 1)
        if len(rows) > room:
            order = list(STYLES)
            rows.sort(key=lambda row: order.index(row[1].status))
        table = Table.grid(padding=(0, 2), expand=True)
        right: tuple[None, JustifyMethod] = (None, "right")
        columns: list[tuple[int | None, JustifyMethod]]
        columns = [(1, "left"), (None, "left"), right, right, right]
        for ratio, justify in columns:
            table.add_column(
                ratio=ratio, justify=justify, no_wrap=True, overflow="ellipsis"
            )
        for path, at in rows[:room]:
            table.add_row(path.name, *_cells(at, bar=width >= WIDE))
        counts = Counter(at.status for _, at in rows)
        return Group(table, self._totals(counts, len(rows) - room))

    def _totals(self, counts: Counter, hidden: int) -> Text:
        """Return the totals, the most important first; narrow screens show fewer."""
        words = [f"{counts['done']} of {counts.total()} done"]
        spent = time.monotonic() - self._began
        left = counts["running"] + counts["pending"]
        if self._ended and left:
            words.append(f"{format_seconds(spent / self._ended * left)} left")
        words += [f"{counts[s]} {s}" for s in NOTED if counts[s]]
        words.append(f"{format_seconds(spent)} so far")
        if hidden > 0:
            words.append(f"{hidden} not shown")
        return Text(", ".join(words), "bold", no_wrap=True, overflow="ellipsis")

    def _standing(self, path: Path) -> Standing:
        """Return the state in the directory; it is read again only after a change."""
        times = tuple(_changed(path / name) for name in WATCHED)
        if path not in self._seen or self._seen[path][0] != times:
            self._seen[path] = times, standing(path)
        return self._seen[path][1]


def _cells(at: Standing, bar: bool) -> list:
    """Return status, bar, steps and loss of a trial."""
    known = at.total > 0
    style = STYLES[at.status]
    drawn = ProgressBar(
        total=at.total,
        completed=at.step,
        width=BAR_COLUMNS,
        complete_style=style,
        finished_style=style,
    )
    loss = "" if at.loss is None else f"loss {format_metric('loss', at.loss)}"
    return [
        Text(at.status, style),
        drawn if known and bar else "",
        f"{math.floor(100 * at.step / at.total)}%" if known else "",
        loss,
    ]


def _changed(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0
