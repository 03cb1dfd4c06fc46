"""Compare the arrays that this project and a peer give for each case."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

import numpy as np

EQUAL, EXPLAINED = "equal", "different, explained"
DIFFERENT, FAILED = "DIFFERENT", "FAILED"
KINDS = EQUAL, EXPLAINED, DIFFERENT, FAILED

# Relative to an entry, and to the largest entry: float32 after some hundred operations.
RELATIVE, OF_LARGEST, ABSOLUTE = 2e-4, 1e-4, 1e-6

Groups = Mapping[str, Callable[[], Mapping]]


@dataclass(frozen=True)
class Outcome:
    """A case, the kind of its result, and a sentence about it."""

    case: str
    kind: str
    words: str = ""

    def __str__(self) -> str:
        return f"{self.kind}: {self.case}{self.words and ': '}{self.words}"


def measure(groups: Groups) -> dict[str, np.ndarray]:
    """Return each group's arrays as "group, quantity"; an error as text, "group"."""
    found = {}
    for group, function in groups.items():
        try:
            quantities = dict(function())
        except Exception as error:
            first = (str(error).strip().splitlines() or [""])[0]
            found[group] = np.array(f"{type(error).__name__}: {first}")
            continue
        for name, value in quantities.items():
            found[f"{group}, {name}"] = np.asarray(value)
    return found


def compare(ours: Mapping, theirs: Mapping, explained: Mapping) -> list[Outcome]:
    """Return an outcome for every case of this project or the peer.

    `explained` has sentences by patterns of cases, as file names have them; the first
    that matches counts. A group that fails on a side is one case, and the cases that
    the other side has of it are left out.
    """
    broken = {
        side: [case for case, value in found.items() if value.dtype.kind == "U"]
        for side, found in {"ours": ours, "theirs": theirs}.items()
    }
    outcomes = [
        Outcome(group, FAILED, f"{side}, {found[group]}")
        for side, found in {"ours": ours, "theirs": theirs}.items()
        for group in broken[side]
    ]
    groups = {group for failed in broken.values() for group in failed}
    for case in dict.fromkeys([*ours, *theirs]):
        if any(case == group or case.startswith(f"{group}, ") for group in groups):
            continue
        if case not in ours or case not in theirs:
            side = "ours" if case in ours else "theirs"
            outcomes.append(Outcome(case, FAILED, f"only {side} has it"))
            continue
        words = difference(ours[case], theirs[case])
        sentence = reason(case, explained)
        if words is None:
            outcomes.append(Outcome(case, EQUAL))
        elif sentence is None:
            outcomes.append(Outcome(case, DIFFERENT, words))
        else:
            outcomes.append(Outcome(case, EXPLAINED, f"{words}. {sentence}"))
    return outcomes


def difference(ours: np.ndarray, theirs: np.ndarray) -> str | None:
    """Return in words what differs by more than rounding in float32, or None."""
    a, b = np.asarray(ours, float), np.asarray(theirs, float)
    if a.shape != b.shape:
        return f"shapes {list(a.shape)} and {list(b.shape)}"
    size = np.max(np.abs(b), initial=0.0, where=np.isfinite(b))
    most = ABSOLUTE + OF_LARGEST * size
    if np.allclose(a, b, rtol=RELATIVE, atol=most, equal_nan=True):
        return None
    with np.errstate(invalid="ignore"):
        apart = np.abs(a - b)
    apart = np.where((a == b) | (np.isnan(a) & np.isnan(b)), 0.0, apart)
    worst = np.unravel_index(np.argmax(np.nan_to_num(apart, nan=np.inf)), a.shape)
    place = f" at {[int(i) for i in worst]}" if a.ndim else ""
    return f"ours {a[worst]:.6g}, theirs {b[worst]:.6g}{place}"


def reason(case: str, explained: Mapping[str, str]) -> str | None:
    """Return the sentence of the first pattern that the case matches, or None."""
    matching = (
        text for pattern, text in explained.items() if fnmatchcase(case, pattern)
    )
    return next(matching, None)


def needless(outcomes: Iterable[Outcome], explained: Mapping[str, str]) -> list[str]:
    """Return the patterns that explain no case any more."""
    differing = [one.case for one in outcomes if one.kind == EXPLAINED]
    used = {reason(case, explained) for case in differing}
    return [pattern for pattern, text in explained.items() if text not in used]


def summary(outcomes: Mapping[str, list[Outcome]]) -> str:
    """Return a table of the number of cases of each kind, a line for each peer."""
    lines = [f"| peer | cases | {' | '.join(kind.lower() for kind in KINDS)} |"]
    lines.append("|---|" + "--:|" * (1 + len(KINDS)))
    total = [one for of_peer in outcomes.values() for one in of_peer]
    for peer, of_peer in {**outcomes, "all": total}.items():
        counts = Counter(one.kind for one in of_peer)
        numbers = [len(of_peer), *(counts[kind] for kind in KINDS)]
        lines.append(f"| {peer} | {' | '.join(map(str, numbers))} |")
    return "\n".join(lines)


def wrong(outcomes: Iterable[Outcome]) -> bool:
    """Return whether a case differs without a reason, or failed."""
    return any(one.kind in (DIFFERENT, FAILED) for one in outcomes)
