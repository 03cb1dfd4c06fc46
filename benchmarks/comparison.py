"""Records of cases: their file, their table, and a comparison with earlier ones."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from statistics import median

from benchmarks.harness import kinds, ratios, spread
from nfml_jax.errors import UserError

Records = dict[str, dict]  # by case
A_TENTH = 0.1
NAMES = {"wall": "wall", "cpu": "CPU"}
"""The kinds of time, as tables name them."""


def read(file: Path) -> Records:
    """Return the records of a file by case, to five digits; {} without a file."""

    def rounded(number: str) -> float:
        return float(f"{float(number):.5g}")

    try:
        found = json.loads(file.read_text(), parse_float=rounded)
        return {record["case"]: record for record in found}
    except FileNotFoundError:
        return {}
    except (ValueError, TypeError, KeyError):
        raise UserError(
            f"{file} is no list of records; restore it, or give another --output."
        ) from None


def write(records: Records, file: Path) -> None:
    """Write one line for each record."""
    file.parent.mkdir(parents=True, exist_ok=True)
    lines = ",\n".join(json.dumps(record) for record in records.values())
    file.write_text(f"[\n{lines}\n]\n")


def ratios_of(record: Mapping, kind: str, peer: str | None = None) -> list[float]:
    """Return our time divided by a peer's, by default the fastest, for each repeat."""
    return ratios(
        record["implementations"], record["ours"], peer or record["peer"], kind
    )


HEADER = (
    f"{'':33}{'':5}{'ours':>9}{'peer':>9}  {'ratio in each repeat':20}"
    f"{'MiB: ours, peer':>17}{'compile':>9}"
)


def rows(record: Mapping) -> str:
    """Return a case's lines in the table: wall time, then CPU time."""
    timings, peer = record["implementations"], record["peer"]
    shown = [name for name in (record["ours"], peer) if name]
    titles = record["case"], f"  beside {peer}" if peer else ""
    memory = ", ".join(_mebibytes(timings[name]["memory"]) for name in shown)
    making = timings[record["ours"]]["compile"]
    end = f"{memory:>17}{duration(sum(making)) if making else '':>9}"
    lines = []
    for title, kind in zip_longest(titles, kinds(record)):
        times, ratio = "", ""
        if kind:
            medians = (median(timings[name][kind]) for name in shown)
            times = "".join(f"{duration(seconds):>9}" for seconds in medians)
            ratio = spread(ratios_of(record, kind), 2) if peer else ""
        line = f"{title:33}{NAMES.get(kind, ''):5}{times:18}  {ratio:20}{end}"
        lines.append(line.rstrip())
        end = ""
    return "\n".join(lines)


def duration(seconds: float) -> str:
    """Return seconds with three digits, as s, ms or µs."""
    units = (1, "s"), (1e-3, "ms"), (1e-6, "µs")
    unit, name = next((u for u in units if seconds >= u[0]), units[-1])
    digits = 2 - math.floor(math.log10(seconds / unit)) if seconds else 0
    return f"{seconds / unit:.{max(0, digits)}f} {name}"


def _mebibytes(count: int | None) -> str:
    return "–" if count is None else f"{count / 2**20:.0f}"


@dataclass(frozen=True)
class Verdict:
    """A ratio in each repeat, as recorded and now, and whether it has become worse."""

    what: str
    then: Sequence[float]
    now: Sequence[float]

    @property
    def worse(self) -> bool:
        return is_worse(self.then, self.now)

    def __str__(self) -> str:
        verdict = "WORSE" if self.worse else "no worse"
        shown = f"{spread(self.then, 3):22} recorded, {spread(self.now, 3):22} now"
        return f"{self.what:60} {shown}: {verdict}"


def is_worse(then: Sequence[float], now: Sequence[float]) -> bool:
    """Return whether every ratio has grown, and their median by more than a tenth.

    By chance all of five ratios exceed all of five earlier ones in one of 252 cases.
    """
    return min(now) > max(then) and median(now) > (1 + A_TENTH) * median(then)


def compare(recorded: Records, measured: Iterable[Mapping]) -> list[Verdict | str]:
    """Return a verdict for each ratio to the recorded peer, or why there is none."""
    found = []
    for record in measured:
        case, then = record["case"], recorded.get(record["case"])
        peer = then and then["peer"]
        if not peer:
            found.append(f"{case}: no ratio is recorded.")
        elif peer not in record["implementations"]:
            found.append(f"{case}: recorded beside {peer}, which was not run now.")
        else:
            for name in record["ours"], peer:
                old, new = (
                    of["implementations"][name]["version"] for of in (then, record)
                )
                if old != new:
                    found.append(f"{case}: {name} was {old} and is {new}.")
            found += [
                Verdict(
                    f"{case} beside {peer}, {NAMES[kind]}",
                    ratios_of(then, kind),
                    ratios_of(record, kind, peer),
                )
                for kind in kinds(record)
            ]
    return found
