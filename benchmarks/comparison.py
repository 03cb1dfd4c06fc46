"""Records of cases: their file, their table, and what has become slower since."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from statistics import median

from benchmarks.turns import kinds, ratios, spread
from nfml_jax.errors import UserError

Records = dict[str, dict]  # by case
A_TENTH = 0.1
NAMES = {"wall": "wall", "cpu": "CPU"}  # of the kinds of time


def read(file: Path) -> Records:
    """The records of a file, to five digits; none if there is no such file."""

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
    """A record a line."""
    file.parent.mkdir(parents=True, exist_ok=True)
    lines = ",\n".join(json.dumps(record) for record in records.values())
    file.write_text(f"[\n{lines}\n]\n")


def ratios_of(record: Mapping, kind: str, peer: str | None = None) -> list[float]:
    """Our time in that of a peer, by default the fastest, turn by turn."""
    return ratios(record["sides"], record["ours"], peer or record["peer"], kind)


HEADER = (
    f"{'':33}{'':5}{'ours':>9}{'peer':>9}  {'ratio, turn by turn':20}"
    f"{'MiB: ours, peer':>17}{'compile':>9}"
)


def rows(record: Mapping) -> str:
    """A case in the table: a line of wall time, and one of CPU with the peer's name."""
    sides, peer = record["sides"], record["peer"]
    shown = [side for side in (record["ours"], peer) if side]
    titles = record["case"], f"  beside {peer}" if peer else ""
    memory = ", ".join(_mebibytes(sides[side]["memory"]) for side in shown)
    making = sides[record["ours"]]["compile"]
    end = f"{memory:>17}{duration(sum(making)) if making else '':>9}"
    lines = []
    for title, kind in zip_longest(titles, kinds(record)):
        times, ratio = "", ""
        if kind:
            medians = (median(sides[side][kind]) for side in shown)
            times = "".join(f"{duration(seconds):>9}" for seconds in medians)
            ratio = spread(ratios_of(record, kind), 2) if peer else ""
        line = f"{title:33}{NAMES.get(kind, ''):5}{times:18}  {ratio:20}{end}"
        lines.append(line.rstrip())
        end = ""
    return "\n".join(lines)


def duration(seconds: float) -> str:
    """Seconds with three digits, in the unit that suits them."""
    units = (1, "s"), (1e-3, "ms"), (1e-6, "µs")
    unit, name = next((u for u in units if seconds >= u[0]), units[-1])
    digits = 2 - math.floor(math.log10(seconds / unit)) if seconds else 0
    return f"{seconds / unit:.{max(0, digits)}f} {name}"


def _mebibytes(count: int | None) -> str:
    return "–" if count is None else f"{count / 2**20:.0f}"


@dataclass(frozen=True)
class Verdict:
    """A ratio recorded and now, turn by turn, and whether it has become worse."""

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
    """Whether a ratio's median has grown by more than the joint spread, and a tenth.

    The joint spread is what lies between each median and the turn nearest to the other
    median: beyond it no turn now is as good as any of then, of which the chance is one
    in 252 if five turns and five are alike.
    """
    return min(now) > max(then) and median(now) > (1 + A_TENTH) * median(then)


def compare(recorded: Records, measured: Iterable[Mapping]) -> list[Verdict | str]:
    """Every ratio to the peer that was the fastest, and what stands in the way."""
    found = []
    for record in measured:
        case, then = record["case"], recorded.get(record["case"])
        peer = then and then["peer"]
        if not peer:
            found.append(f"{case}: no ratio is recorded.")
        elif peer not in record["sides"]:
            found.append(f"{case}: recorded beside {peer}, which was not run now.")
        else:
            for side in record["ours"], peer:
                old, new = (of["sides"][side]["version"] for of in (then, record))
                if old != new:
                    found.append(f"{case}: {side} was {old} and is {new}.")
            found += [
                Verdict(
                    f"{case} beside {peer}, {NAMES[kind]}",
                    ratios_of(then, kind),
                    ratios_of(record, kind, peer),
                )
                for kind in kinds(record)
            ]
    return found
