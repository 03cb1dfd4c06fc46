"""The rows and columns of a set of vectors that are used, and their roles."""

import csv
import dataclasses
from collections.abc import Sequence

import numpy as np

from nfml_jax.data.data_set import digest
from nfml_jax.data.draws import stratified
from nfml_jax.data.vectors.arrays import LoadedVectors
from nfml_jax.data.vectors.checks import check_rows
from nfml_jax.errors import UserError
from nfml_jax.ops.names import look_up
from nfml_jax.tables.steps import noise_widths


def draw_rows(count: int, share: float, seed: int, what: str):
    """Return the indices of rows outside and in a random part, each ascending.

    `share` of the `count` rows is a fraction below 1, or a number of them from 1 up; 0
    gives None as the part.
    """
    if not share:
        return np.arange(count), None
    drawn = round(share * count) if 0 < share < 1 else int(share)
    if not 0 < drawn < count or (share > 1 and drawn != share):
        raise UserError(
            f"{what} is {share}; of {count} rows it must be 0, a fraction below 1 "
            "or an integer, and leave at least one row on either side."
        )
    chosen, rest = stratified(np.zeros(count, int), drawn, seed)
    return rest, chosen


def set_rows_aside(rows, share: float, seed: int, what: str):
    """Return the rows outside and in a random part; see `draw_rows`."""
    rest, chosen = draw_rows(len(rows), share, seed, what)
    return (rows, None) if chosen is None else (rows[rest], rows[chosen])


def shrink_rows(loaded: LoadedVectors, part: str, limit: int | None, seed: int):
    """Return a set with at most `limit` rows in a part, drawn at random.

    None or 0 keeps all of them.
    """
    count = len(loaded.parts[part])
    if not limit or limit >= count:
        return loaded
    if limit < 0:
        raise UserError(f"max_{part} is {limit}; it must be at least 1, or 0 for all.")
    chosen = draw_rows(count, limit, seed, f"max_{part}")[1]
    assert chosen is not None  # since the limit is not 0
    return loaded.take({part: chosen})


def hold_out(loaded: LoadedVectors, classes: Sequence[str] | str) -> LoadedVectors:
    """Return a set without the rows of these classes, which become `outside`.

    A model has never seen them, so they should be out of distribution. If the parts
    were drawn from one table all rows of these classes are outside; if they were given,
    those of the test.

    Args:
      loaded: a set with classes.
      classes: their names, or one text with commas between them.
    """
    if not classes:
        return loaded
    if not loaded.classes:
        raise UserError(
            f"held_out is {classes!r}, but {loaded.name} has no classes; leave it "
            "empty, or name the column of classes with `labels`."
        )
    known = {name: number for number, name in enumerate(loaded.classes)}
    names = names_of(known, classes)
    out = [look_up(known, name, f"class of {loaded.name}") for name in names]
    left = [number for name, number in known.items() if number not in out]
    if not left:
        raise UserError(
            f"held_out names all classes of {loaded.name}; leave one to train on."
        )
    new_number = np.zeros(len(known))
    new_number[left] = np.arange(len(left))
    is_out = {part: np.isin(rows[:, -1], out) for part, rows in loaded.parts.items()}
    from_parts = list(is_out) if loaded.drawn else ["test"]
    outside = [loaded.parts[p][is_out[p], : -loaded.given] for p in from_parts]
    numbers = [loaded.numbers[p][is_out[p]] for p in from_parts if loaded.numbers]
    inside = loaded.take({part: ~strange for part, strange in is_out.items()})
    for rows in inside.parts.values():
        rows[:, -1] = new_number[rows[:, -1].astype(int)]
    if numbers:
        inside.numbers["outside"] = np.concatenate(numbers)
    return dataclasses.replace(
        inside,
        source=f"{loaded.source}, without {', '.join(names)}",
        classes=tuple(loaded.classes[number] for number in left),
        outside=np.concatenate(outside),
    )


def names_of(known, names: Sequence[str] | str) -> list[str]:
    """Return names as a list; one text may hold several, with commas between them."""
    if isinstance(names, str):
        names = [names] if names in known else next(csv.reader([names]))
    names = [str(name) for name in names]
    return [name if name in known else name.strip() for name in names]


def principal_components(loaded: LoadedVectors, count: int) -> LoadedVectors:
    """Replace the columns by their first principal components over training rows.

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
    values, vectors = np.linalg.eigh(x.T @ x)
    _check_rank(loaded, x, values[::-1], count)
    largest = vectors[:, ::-1][:, :count]
    # An eigenvector has no sign: its largest entry is made positive.
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
        original=loaded.columns[:event_dim],
        project=project,
        digest=loaded.digest or digest(parts.values()),
        **{part: project(rows) for part, rows in parts.items()},
    )


def _check_rank(loaded, x, values, count) -> None:
    """Raise UserError for fewer than `count` components with positive variance.

    `values` are the eigenvalues, the largest first. Columns are scaled first, so that
    one in small units doesn't count as constant.
    """
    if values[count - 1] > 1e-9 * values[0]:
        return
    few = x[:: max(len(x) // (4 * x.shape[1] + 1000), 1)]
    scale = few.std(axis=0)
    rank = np.linalg.matrix_rank(few / np.where(scale > 0, scale, 1), rtol=1e-10)
    if count > rank:
        raise UserError(
            f"components is {count}, but the {len(x)} training rows of {loaded.name} "
            f"have only {rank} principal components that vary; take at most {rank}."
        )
    if values[count - 1] < 1e-14 * values[0]:
        raise UserError(
            f"components is {count}, but the columns of {loaded.name} are in such "
            "different units that the smallest components are lost in rounding; take "
            "fewer, or scale the columns first."
        )


def add_jitter(loaded: LoadedVectors, kind: str, seed: int) -> LoadedVectors:
    """Return a set with uniform noise in its discrete columns, of the size of a step.

    Args:
      loaded: the set; its digest stays that of the rows without noise.
      kind: "" for none, or "steps".
      seed: the seed of the draws.
    """
    if not kind:
        return loaded
    if kind != "steps":
        raise UserError(f"jitter is {kind!r}; it must be 'steps', or None for none.")
    check_rows(loaded)
    d = loaded.event_dim
    events = {part: rows[:, :d] for part, rows in loaded.parts.items()}
    if loaded.outside is not None:
        events["outside"] = loaded.outside
    whole = np.concatenate(list(events.values()))
    widths = noise_widths(whole, loaded.train[:, :d])
    noise = (np.random.default_rng(seed).random(widths.shape) - 0.5) * widths
    ends = np.cumsum([len(rows) for rows in events.values()])[:-1]
    parts = {}
    for part, added in zip(events, np.split(noise, ends), strict=True):
        parts[part] = events[part] + added
        if part != "outside":
            given = loaded.parts[part][:, d:]
            parts[part] = np.concatenate([parts[part], given], axis=1)
    added = {
        loaded.columns[i]: float(widths[:, i].max())
        for i in np.flatnonzero(widths.any(axis=0))
    }
    return dataclasses.replace(
        loaded,
        source=f"{loaded.source}, with noise in {len(added)} discrete columns",
        digest=loaded.digest or digest(loaded.parts.values()),
        jitter=added,
        **parts,
    )


def not_alike(rows, correlation: float = 0.98) -> list[int]:
    """Return the columns that remain when one of every two correlated ones is dropped.

    Two columns are correlated if their coefficient exceeds `correlation`.
    """
    alike = np.corrcoef(rows, rowvar=False) > correlation
    kept = list(range(rows.shape[1]))
    while True:
        pairs = alike[np.ix_(kept, kept)].sum(axis=1)
        if (pairs <= 1).all():
            return kept
        kept.pop(int(np.argmax(pairs > 1)))
