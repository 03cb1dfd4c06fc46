"""The log of a run: `metrics.jsonl`, and the same in TensorBoard and trackers."""

import json
import math
import time
from collections.abc import Sequence
from pathlib import Path

from nfml_jax.errors import UserError
from nfml_jax.runs.events import EventWriter
from nfml_jax.runs.run_directory import replace_text
from nfml_jax.runs.trackers import Tracker

METRICS_FILE = "metrics.jsonl"


class RunWriter(EventWriter):
    """A writer of one run's `metrics.jsonl` and its TensorBoard events.

    A resumed run reads like an uninterrupted one: of an earlier process's log only the
    first `lines` stay, those written before the checkpoint of `first_step`. Lines are
    counted, because lines of a run's last step are written both before its last
    checkpoint (the step's own) and after it (the final evaluation). The default starts
    a new log. `trackers` receive the same scalars and figures.
    """

    def __init__(
        self,
        run_dir: Path,
        *,
        first_step: int = 0,
        lines: int = 0,
        trackers: Sequence[Tracker] = (),
    ):
        self._trackers = list(trackers)
        path = Path(run_dir) / METRICS_FILE
        kept = read_metrics(path)[:lines] if path.exists() else []
        replace_text(path, "".join(map(_line, kept)))
        self.lines = len(kept)
        self._metrics = path.open("a", encoding="utf-8", newline="\n")
        super().__init__(run_dir, first_step=first_step)

    def scalars(self, step: int, values: dict[str, float]) -> None:
        """Append one line to `metrics.jsonl`, and the same names to TensorBoard.

        JSON has no NaN or infinities; they are written as the strings `"NaN"`,
        `"Infinity"` and `"-Infinity"`, which `float` reads back.
        """
        self._metrics.write(_line({"step": int(step), "time": time.time(), **values}))
        self._metrics.flush()
        self.lines += 1
        self.rates(step, values)

    def rates(self, step: int, values: dict[str, float]) -> None:
        """Write rates, except to the log, which must not depend on the speed."""
        super().scalars(step, values)
        for tracker in self._trackers:
            tracker.scalars(step, values)

    def image(self, step: int, name: str, rgb) -> None:
        """Add a picture `rgb`, uint8 `[H, W, 3]`."""
        super().image(step, name, rgb)
        for tracker in self._trackers:
            tracker.image(step, name, rgb)

    def close(self):
        """Close the files; a second call does nothing."""
        self._metrics.close()
        super().close()
        while self._trackers:
            self._trackers.pop().close()


class NoWriter:
    """A stand-in for `RunWriter` in processes that leave the log to another."""

    lines = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def _ignore(self, *_, **__):
        pass

    scalars = rates = histogram = image = hparams = _ignore


def read_metrics(path: Path) -> list[dict]:
    """Return the lines of a `metrics.jsonl`, with every value but `step` as a float.

    An incomplete last line, as a killed run leaves it, is dropped; any other line that
    is not JSON raises UserError.
    """
    path = Path(path)
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    except OSError as error:
        raise UserError(
            f"{path} cannot be read ({error.strerror}); give the metrics.jsonl of a "
            "run."
        ) from error
    if not lines[-1]:
        lines.pop()
    records = []
    for number, line in enumerate(lines, start=1):
        try:
            record = json.loads(line)
            numbers = {name: float(value) for name, value in record.items()}
            records.append(numbers | {"step": int(record["step"])})
        except (ValueError, TypeError, AttributeError, KeyError) as error:
            if number < len(lines):
                raise UserError(
                    f"{path}, line {number}, is not a line of metrics; expected "
                    '{"step": ..., "time": ..., "name": number}; remove that line.'
                ) from error
    return records


def _line(record: dict[str, float]) -> str:
    numbers = {name: _json_number(float(value)) for name, value in record.items()}
    line = numbers | {"step": int(record["step"])}
    return json.dumps(line, allow_nan=False) + "\n"


def _json_number(value: float) -> float | str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return value
