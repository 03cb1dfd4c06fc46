"""People by fold: the people files of Labeled Faces in the Wild.

Huang, Ramesh, Berg and Learned-Miller (2007), technical report 07-49, appendix A.
"""

from dataclasses import dataclass
from pathlib import Path

from nfml_jax.data.pairs import read_lines
from nfml_jax.errors import UserError


@dataclass(frozen=True)
class PeopleFile:
    """The people of each fold of a file: name -> the line that names them."""

    path: Path
    folds: tuple[dict[str, int], ...]

    def everyone(self, but: int | None = None) -> dict[str, int]:
        """Return the people of all folds except the fold `but`."""
        folds = [fold for i, fold in enumerate(self.folds) if i != but]
        return {name: line for fold in folds for name, line in fold.items()}


def read_people(path: Path) -> PeopleFile:
    """Read a people file: a fold's size, then a line `NAME IMAGES` for each person.

    If there are several folds, a first line gives their number.

    Raises UserError if a line is neither, or lines are missing.
    """
    lines = read_lines(path)
    several = len(lines) > 1 and len(lines[1][1]) == 1
    expected = _count(path, *lines.pop(0)) if several else 1
    folds = []
    while lines:
        announced = _count(path, *lines.pop(0))
        people, lines = lines[:announced], lines[announced:]
        names = {fields[0]: line for line, fields in people if len(fields) == 2}
        if len(names) < announced:
            raise UserError(
                f"{path} has {len(names)} people in fold {len(folds) + 1}, and should "
                f"have {announced}; copy it again completely."
            )
        folds.append(names)
    if len(folds) != expected:
        raise UserError(
            f"{path} has {len(folds)} folds, and should have {expected}; copy it "
            "again completely."
        )
    return PeopleFile(path, tuple(folds))


def _count(path, line, fields) -> int:
    if len(fields) != 1 or not fields[0].isdecimal():
        raise UserError(
            f"line {line} of {path} is {' '.join(fields)!r}; expected a number of "
            "people."
        )
    return int(fields[0])
