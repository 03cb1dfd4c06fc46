"""Pairs of images to verify, and the pairs files of Labeled Faces in the Wild.

Huang, Ramesh, Berg and Learned-Miller (2007), technical report 07-49, appendix A.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nfml_jax.errors import UserError


@dataclass(frozen=True)
class Pairs:
    """Pairs of images by their rows `first` and `second`, int32 `[M]`.

    `genuine` bool `[M]` is True for pairs of one class, and `fold` int32 `[M]` is the
    part of a cross-validation, from 0.
    """

    first: np.ndarray
    second: np.ndarray
    genuine: np.ndarray
    fold: np.ndarray

    def __len__(self) -> int:
        return len(self.genuine)

    @property
    def arrays(self) -> tuple[np.ndarray, ...]:
        return self.first, self.second, self.genuine, self.fold


@dataclass(frozen=True)
class NamedPair:
    """The `numbers` of two images of the `people`, from a `line` of a file."""

    people: tuple[str, str]
    numbers: tuple[int, int]
    fold: int
    line: int

    @property
    def genuine(self) -> bool:
        return self.people[0] == self.people[1]


@dataclass(frozen=True)
class PairsFile:
    """The pairs of a file, in their order."""

    path: Path
    pairs: tuple[NamedPair, ...]

    @property
    def folds(self) -> int:
        return 1 + max(pair.fold for pair in self.pairs)

    @property
    def people(self) -> dict[str, int]:
        """Return the people in pairs: name -> the first line that names them."""
        last_first = reversed(self.pairs)
        return {name: pair.line for pair in last_first for name in pair.people}

    def fold(self, number: int) -> tuple["PairsFile", "PairsFile"]:
        """Return the pairs of one fold, and those of all others."""
        inside = tuple(pair for pair in self.pairs if pair.fold == number)
        outside = tuple(pair for pair in self.pairs if pair.fold != number)
        return PairsFile(self.path, inside), PairsFile(self.path, outside)

    def index(self, row: Callable[[str, int], int | None], where: str) -> Pairs:
        """Return the pairs as rows.

        `row(name, number)` is the row of a picture, or None if there is none, which
        raises UserError.
        """
        rows = []
        for pair in self.pairs:
            for name, number in zip(pair.people, pair.numbers, strict=True):
                rows.append(row(name, number))
                if rows[-1] is None:
                    raise UserError(
                        f"line {pair.line} of {self.path} names picture {number} of "
                        f"{name}, which is not in {where}; copy it again completely."
                    )
        first, second = np.array(rows, np.int32).reshape(-1, 2).T
        genuine = np.array([pair.genuine for pair in self.pairs])
        fold = np.array([pair.fold for pair in self.pairs], np.int32)
        return Pairs(first, second, genuine, fold)


def read_pairs(path: Path) -> PairsFile:
    """Read a pairs file: `NAME 1 4` of one person, `NAME 1 OTHER 2` of two.

    A first line `FOLDS N` or `N` gives the number of pairs of either kind in a fold,
    one fold after the other; without it all lines are one fold.

    Raises UserError if a line is neither, or lines are missing.
    """
    lines = read_lines(path)
    folds = 1
    if lines and len(lines[0][1]) <= 2:
        counts = [int(s) if s.isdecimal() else 0 for s in lines.pop(0)[1]]
        folds, expected = counts[0] if len(counts) == 2 else 1, 2 * int(np.prod(counts))
        if not expected or len(lines) != expected:
            raise UserError(
                f"{path} has {len(lines)} pairs, and by its first line should have "
                f"{expected}; copy it again completely."
            )
    if not lines:
        raise UserError(f"{path} has no pairs; copy it again completely.")
    size = len(lines) // folds
    pairs = [_pair(path, i // size, *line) for i, line in enumerate(lines)]
    return PairsFile(path, tuple(pairs))


def read_lines(path: Path) -> list[tuple[int, list[str]]]:
    """Yield the words of each non-empty line of a text, and its number from 1."""
    try:
        text = path.read_text(encoding="utf-8-sig", errors="replace")
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}).") from error
    return [(i, s.split()) for i, s in enumerate(text.splitlines(), 1) if s.strip()]


def _pair(path, fold, line, fields) -> NamedPair:
    # A pair of one person lacks the second name.
    names, numbers = (
        (fields[::2], fields[1::2])
        if len(fields) == 4
        else (fields[:1] * 2, fields[1:])
    )
    if len(fields) not in (3, 4) or not all(n.isdecimal() for n in numbers):
        raise UserError(
            f"line {line} of {path} is {' '.join(fields)!r}; expected NAME 1 2, or "
            "NAME 1 OTHER 2."
        )
    one, other = map(int, numbers)
    return NamedPair(tuple(names), (one, other), fold, line)
