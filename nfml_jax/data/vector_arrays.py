"""What every data set of vectors becomes: standardised rows, and the way back."""

import hashlib
import warnings
from dataclasses import dataclass

import numpy as np

from nfml_jax.data.arrays import stratified
from nfml_jax.errors import UserError

CHECKED_ROWS = 100_000
"""Rows of a large set that its columns are judged by."""
LISTED = 6
"""Columns that a warning names."""


@dataclass(frozen=True)
class LoadedVectors:
    """What a loader returns: rows `[N, D]` in the units they were found in.

    `validation` may be None. `statistics` names the parts whose mean and standard
    deviation the set is standardised by; none leave it as it is.
    """

    name: str
    source: str
    columns: tuple[str, ...]
    train: np.ndarray
    validation: np.ndarray | None
    test: np.ndarray
    statistics: tuple[str, ...] = ("train",)

    @property
    def parts(self) -> dict[str, np.ndarray]:
        """The parts there are, by name."""
        names = ("train", "validation", "test")
        parts = {name: getattr(self, name) for name in names}
        return {name: rows for name, rows in parts.items() if rows is not None}


@dataclass(frozen=True)
class VectorData:
    """Rows in memory, float32 `[N, D]`, with the name, source and digest results cite.

    A row is (original - `shift`) / `scale`, both float64 `[D]`. `validation` may be
    None.
    """

    name: str
    source: str
    digest: str
    columns: tuple[str, ...]
    train: np.ndarray
    validation: np.ndarray | None
    test: np.ndarray
    shift: np.ndarray
    scale: np.ndarray

    @property
    def event_dim(self) -> int:
        return len(self.columns)

    @property
    def log_det(self) -> float:
        """What to add to a row's log-density for that of the original row, in nats."""
        return float(np.log(1 / self.scale).sum())

    def to_original(self, rows) -> np.ndarray:
        """Standardised rows `[N, D]` in their original units, float64."""
        return np.asarray(rows, np.float64) * self.scale + self.shift

    def summary(self) -> dict:
        """What `result.json` keeps: name, source, digest, counts and log_det."""
        return {
            "name": self.name,
            "source": self.source,
            "digest": self.digest,
            "train": len(self.train),
            "validation": 0 if self.validation is None else len(self.validation),
            "test": len(self.test),
            "event_dim": self.event_dim,
            "log_det": self.log_det,
        }

    def describe(self) -> str:
        """One line for the header of a run."""
        counts = [f"{len(self.train):,} training"]
        if self.validation is not None:
            counts.append(f"{len(self.validation):,} validation")
        counts.append(f"{len(self.test):,} test")
        return (
            f"{self.name}: {' + '.join(counts)} rows of {self.event_dim} numbers, "
            f"from {self.source} ({self.digest[:15]}…)"
        )


def make_vector_data(loaded: LoadedVectors, standardise: bool = True) -> VectorData:
    """The set checked, digested (sha256 of its original rows) and standardised.

    Warns of columns whose likelihood means little: constant, repeated or discrete.

    Raises:
        UserError: without columns or rows, with rows that are not finite, or with a
            constant column to be standardised.
    """
    _check(loaded)
    flat = _constant(loaded)
    standardise = standardise and bool(loaded.statistics)
    if flat and standardise:
        raise UserError(
            f"{loaded.name} has constant columns ({', '.join(flat)}), which have no "
            "density and cannot be standardised; keep only the others, with `columns`."
        )
    for sentence in _doubts(loaded, flat):
        warnings.warn(sentence, stacklevel=3)
    sha = hashlib.sha256()
    for part in loaded.parts.values():
        sha.update(f"{part.dtype.str}{part.shape}".encode())
        sha.update(np.ascontiguousarray(part))
    parts = loaded.parts
    shift, scale = np.zeros(len(loaded.columns)), np.ones(len(loaded.columns))
    if standardise:
        rows = np.concatenate([parts[name] for name in loaded.statistics])
        shift = rows.mean(axis=0, dtype=np.float64)
        scale = rows.std(axis=0, dtype=np.float64)
        parts = {name: (part - shift) / scale for name, part in parts.items()}
    parts = {name: part.astype(np.float32, copy=False) for name, part in parts.items()}
    return VectorData(
        name=loaded.name,
        source=loaded.source,
        digest=f"sha256:{sha.hexdigest()}",
        columns=loaded.columns,
        train=parts["train"],
        validation=parts.get("validation"),
        test=parts["test"],
        shift=shift,
        scale=scale,
    )


def set_rows_aside(rows, share: float, seed: int, what: str):
    """Rows without, and as, a random part, each in the order they came in.

    `share` is a fraction below 1, or a count from 1 up; 0 gives None as the part.
    """
    if not share:
        return rows, None
    count = round(share * len(rows)) if 0 < share < 1 else int(share)
    if not 0 < count < len(rows) or (share > 1 and count != share):
        raise UserError(
            f"{what} is {share}; of {len(rows)} rows it must be 0, a fraction below 1 "
            "or a whole number, and leave at least one row on either side."
        )
    chosen, rest = stratified(np.zeros(len(rows), int), count, seed)
    return rows[rest], rows[chosen]


def shrink_rows(rows, limit: int | None, seed: int, what: str):
    """At most `limit` rows, drawn at random; None keeps all of them."""
    if limit is None or limit >= len(rows):
        return rows
    if limit < 1:
        raise UserError(f"{what} is {limit}; it must be at least 1, or None for all.")
    return set_rows_aside(rows, limit, seed, what)[1]


def _check(loaded):
    if not loaded.columns:
        raise UserError(
            f"{loaded.name} has no columns; a density needs at least one number a row."
        )
    for name, rows in loaded.parts.items():
        if not len(rows):
            raise UserError(f"{loaded.name} has no {name} rows; give it at least one.")
        bad = np.flatnonzero(~np.isfinite(rows).all(axis=1))
        if len(bad):
            raise UserError(
                f"{len(bad)} of the {len(rows)} {name} rows of {loaded.name} hold NaN "
                f"or infinity (the first is row {bad[0]}); take them out, or fill in "
                "what is missing."
            )


def not_alike(rows, correlation: float = 0.98) -> list[int]:
    """Columns left when, of every two correlated above this, the first is left out."""
    alike = np.corrcoef(rows, rowvar=False) > correlation
    kept = list(range(rows.shape[1]))
    while True:
        pairs = alike[np.ix_(kept, kept)].sum(axis=1)
        if (pairs <= 1).all():
            return kept
        kept.pop(int(np.argmax(pairs > 1)))


def _constant(loaded) -> list[str]:
    """Names of the columns with one value in all training rows."""
    flat = loaded.train.min(axis=0) == loaded.train.max(axis=0)
    return [name for name, is_flat in zip(loaded.columns, flat, strict=True) if is_flat]


def _doubts(loaded, flat):
    """Sentences on columns that a density would put a spike on."""
    rows = loaded.train[:: -(-len(loaded.train) // CHECKED_ROWS)]
    varying = [i for i, name in enumerate(loaded.columns) if name not in flat]
    discrete = [
        f"{loaded.columns[i]} ({values:,} values)"
        for i in varying
        if (values := _is_discrete(rows[:, i]))
    ]
    repeated = []
    if len(varying) > 1 and len(rows) > 2:
        near = np.abs(np.corrcoef(rows[:, varying], rowvar=False)) > 1 - 1e-6
        repeated = [
            f"{loaded.columns[varying[b]]} as {loaded.columns[varying[a]]}"
            for a, b in np.argwhere(np.triu(near, 1))
        ]
    kinds = {
        "constant": (flat, "leave them out"),
        "nearly discrete": (discrete, "add noise of the size of their steps"),
        "repeated": (repeated, "leave one of each two out"),
    }
    for kind, (names, remedy) in kinds.items():
        if names:
            listed = ", ".join(names[:LISTED]) + (", …" if len(names) > LISTED else "")
            yield (
                f"{len(names)} of {len(loaded.columns)} columns of {loaded.name} are "
                f"{kind}: {listed}; a likelihood of them can grow without bound, so "
                f"{remedy}, and compare results only with others on the same file."
            )


def _is_discrete(column) -> int:
    """The number of values of a column that repeats them often, else 0."""
    values, counts = np.unique(column, return_counts=True)
    few = len(values) < len(column) / 10 or counts.max() > len(column) / 20
    return len(values) if few and len(column) >= 100 else 0
