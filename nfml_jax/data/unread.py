"""The counts of what a loader found in a folder or an archive and did not read."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from nfml_jax.data.file_names import readable

# The kinds of things that are left out, in the order and words of a run's header.
OUTSIDE = "pictures outside the class folders"
NO_LABEL = "pictures without a row in the table of labels"
OTHER_NAME = "pictures of other names than the set's"
FRAMES = "pictures of which only the first frame or page is read"
UNUSED_TRAIN = "training images of the classes held out"
UNUSED_TEST = "test images of the classes trained on"
NO_PICTURES = "files that are no pictures"
NOWHERE = "links that lead nowhere"
CIRCLE = "links that lead back to a folder around them"
OVERWRITTEN = "archive members that a later one of the same name replaces"
SPECIAL = "special files"
HIDDEN = "hidden files and folders"
KINDS = (
    OUTSIDE,
    NO_LABEL,
    OTHER_NAME,
    FRAMES,
    UNUSED_TRAIN,
    UNUSED_TEST,
    NO_PICTURES,
    NOWHERE,
    CIRCLE,
    OVERWRITTEN,
    SPECIAL,
    HIDDEN,
)

# Maximum number of details of a kind in the header; `result.json` has all.
DETAILS = 6


@dataclass
class Unread:
    """Counts of things left out, by kind and by a detail such as the suffix.

    The detail is "" if the kind is a complete description.
    """

    counts: dict[str, Counter] = field(default_factory=dict)

    def add(self, kind: str, detail: str = "", count: int = 1) -> None:
        """Add `count` things of a kind; a count of 0 is not recorded."""
        if count:
            self.counts.setdefault(kind, Counter())[readable(detail)] += count

    def add_suffixes(self, kind: str, paths: Iterable[PurePosixPath]) -> None:
        """Count each of `paths` under its suffix."""
        for path in paths:
            self.add(kind, path.suffix.lower() or "no suffix")

    def words(self) -> str:
        """Return "files that are no pictures: 12 (.txt 10, .db 2); ...", or ""."""
        return "; ".join(self._words(kind) for kind in KINDS if kind in self.counts)

    def summary(self) -> dict:
        """Return the counts for `result.json`: a number, or numbers by detail."""
        return {
            kind: counter[""] if set(counter) == {""} else dict(counter.most_common())
            for kind, counter in self.counts.items()
        }

    def _words(self, kind: str) -> str:
        counter = self.counts[kind]
        total = f"{kind}: {counter.total():,}"
        if set(counter) == {""}:
            return total
        alike = len(counter) in (1, counter.total())
        details = [
            name if alike else f"{name} {n:,}"
            for name, n in counter.most_common(DETAILS)
        ]
        if len(counter) > DETAILS:
            details.append(f"{len(counter) - DETAILS:,} others")
        return f"{total} ({', '.join(details)})"
