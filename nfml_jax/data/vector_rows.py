"""Which rows and columns of a set of vectors are used, and as what."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from nfml_jax.data.arrays import digest, stratified
from nfml_jax.data.vector_arrays import LoadedVectors
from nfml_jax.data.vector_checks import check_rows
from nfml_jax.errors import UserError
from nfml_jax.names import look_up


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
    """At most `limit` rows, drawn at random; None or 0 keeps all of them."""
    if not limit or limit >= len(rows):
        return rows
    if limit < 0:
        raise UserError(f"{what} is {limit}; it must be at least 1, or 0 for all.")
    return set_rows_aside(rows, limit, seed, what)[1]


def number_classes(loaded: LoadedVectors) -> LoadedVectors:
    """The values of the last column, which are classes' names, as numbers from 0."""
    labels = np.concatenate([rows[:, -1] for rows in loaded.parts.values()])
    values = np.unique(labels)
    if (
        not np.isin(values, loaded.train[:, -1]).all()
        or (values != values.round()).any()
    ):
        raise UserError(
            f"{loaded.columns[-1]} of {loaded.name} takes {len(values):,} values, "
            f"from {values[0]:g} to {values[-1]:g}; to be labels they must be whole "
            "numbers, each among the training rows."
        )

    def numbered(rows):
        numbers = np.searchsorted(values, rows[:, -1:])
        return np.concatenate([rows[:, :-1], numbers], axis=1)

    return dataclasses.replace(
        loaded,
        classes=tuple(f"{value:g}" for value in values),
        **{part: numbered(rows) for part, rows in loaded.parts.items()},
    )


def hold_out(loaded: LoadedVectors, classes: Sequence[str]) -> LoadedVectors:
    """Without the rows of these classes, but for those of the test: they are `outside`.

    What a model has never seen is what it should find strange.
    """
    if not classes:
        return loaded
    if not loaded.classes:
        raise UserError(
            f"held_out is {list(classes)}, but {loaded.name} has no classes; leave it "
            "empty, or name the column of classes with `labels`."
        )
    known = {name: number for number, name in enumerate(loaded.classes)}
    out = [look_up(known, str(name), f"class of {loaded.name}") for name in classes]
    left = [number for name, number in known.items() if number not in out]
    if not left:
        raise UserError(
            f"held_out names all classes of {loaded.name}; leave one to train on."
        )
    new_number = np.zeros(len(known))
    new_number[left] = np.arange(len(left))

    def inside(rows):
        rows = rows[np.isin(rows[:, -1], left)]
        rows[:, -1] = new_number[rows[:, -1].astype(int)]
        return rows

    return dataclasses.replace(
        loaded,
        source=f"{loaded.source}, without {', '.join(map(str, classes))}",
        classes=tuple(loaded.classes[number] for number in left),
        outside=loaded.test[np.isin(loaded.test[:, -1], out), : -loaded.given],
        **{part: inside(rows) for part, rows in loaded.parts.items()},
    )


def principal_components(loaded: LoadedVectors, count: int) -> LoadedVectors:
    """The columns' first principal components over the training rows in their place.

    The digest stays that of the rows themselves.
    """
    if not count:
        return loaded
    check_rows(loaded)
    event_dim = loaded.event_dim
    if not 0 < count <= event_dim:
        raise UserError(
            f"components is {count}; {loaded.name} has {event_dim} columns, so it must "
            f"lie between 1 and {event_dim}, or be 0 to keep the columns."
        )
    x = loaded.train[:, :event_dim]
    mean = x.mean(axis=0, dtype=np.float64)
    x = x - mean
    _, vectors = np.linalg.eigh(x.T @ x)
    largest = vectors[:, ::-1][:, :count]
    # An eigenvector has no sign of its own: let its largest entry be positive.
    largest *= np.sign(largest[np.abs(largest).argmax(axis=0), np.arange(count)])

    def project(rows):
        found = (rows[:, :event_dim] - mean) @ largest
        return np.concatenate([found, rows[:, event_dim:]], axis=1)

    parts = loaded.parts
    if loaded.outside is not None:
        parts["outside"] = loaded.outside
    return dataclasses.replace(
        loaded,
        name=f"{loaded.name}_pca{count}",
        columns=(*(f"pc{i + 1}" for i in range(count)), *loaded.columns[event_dim:]),
        digest=digest(parts.values()),
        **{part: project(rows) for part, rows in parts.items()},
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
