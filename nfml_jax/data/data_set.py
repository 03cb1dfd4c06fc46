"""The record of every data set in memory: its name, its source and its digest."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol, runtime_checkable

import numpy as np

PARTS = ("train", "validation", "test")


@runtime_checkable
class Stored(Protocol):
    """Pictures with the interface of an array that stay in files until read."""

    def samples(self) -> np.ndarray:
        """Return digests of the first bytes of some files, uint8 `[files, 32]`."""
        ...

    def fingerprint(self) -> bytes:
        """Return bytes that change with the pictures' content."""
        ...


@dataclass(frozen=True)
class DataSet:
    """A data set in memory, with the name, source and digest that results cite.

    A subclass has the parts `train`, `validation` (or None) and `test`, and names their
    elements in `rows`.
    """

    name: str
    source: str
    digest: str

    @property
    def rows(self) -> str:
        """The name of the counted elements."""
        raise NotImplementedError

    @property
    def parts(self) -> dict[str, Any]:
        """The parts that exist, by name."""
        found = {part: getattr(self, part) for part in PARTS}
        return {part: rows for part, rows in found.items() if rows is not None}

    @property
    def counts(self) -> dict[str, int]:
        """The numbers of elements to train, to validate and to test on."""
        return {part: len(self.parts.get(part, ())) for part in PARTS}

    @property
    def names(self) -> tuple[str, ...]:
        """The names of classes and columns, in the order of their numbers."""
        raise NotImplementedError

    @property
    def more_rows(self) -> tuple[np.ndarray, ...]:
        """Arrays outside the digest that distinguish these data from others."""
        return ()

    @cached_property
    def fingerprint(self) -> str:
        """The digest of everything that a run on these data depends on.

        `digest` is that of the rows and labels only, as results cite it; this one
        includes the names of classes and columns.
        """
        sha = hashlib.sha256()
        for text in (self.digest, *self.names, digest(self.more_rows)):
            content = text.encode(errors="surrogatepass")
            sha.update(len(content).to_bytes(8) + content)
        return f"sha256:{sha.hexdigest()}"

    def summary(self) -> dict:
        """Return the entry of `result.json`: name, source, digests and the counts."""
        named = {
            "name": self.name,
            "source": self.source,
            "digest": self.digest,
            "fingerprint": self.fingerprint,
        }
        return named | self.counts

    def describe(self) -> str:
        """Return one line on the data set, with what is left out of its source."""
        return "; left out: ".join(self.header().values())

    def header(self) -> dict[str, str]:
        """Return rows of a run's header: the data set, and parts that are left out."""
        words = {"train": "training", "validation": "validation", "test": "test"}
        counts = [f"{n:,} {words[part]}" for part, n in self.counts.items() if n]
        data = (
            f"{self.name}: {' + '.join(counts)} {self.rows}, from {self.source} "
            f"({self.digest[:15]}…)"
        )
        return {"data": data} | ({"left out": self.left_out} if self.left_out else {})

    @property
    def left_out(self) -> str:
        """The parts of the source that were left out, in words, or ""."""
        return ""


def digest(arrays: Iterable[np.ndarray]) -> str:
    """Return "sha256:…" over the types, shapes and bytes of arrays, in order."""
    sha = hashlib.sha256()
    for array in arrays:
        sha.update(f"{array.dtype.str}{array.shape}".encode())
        stored = isinstance(array, Stored)
        sha.update(array.fingerprint() if stored else np.ascontiguousarray(array).data)
    return f"sha256:{sha.hexdigest()}"
