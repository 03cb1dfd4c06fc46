"""Small sets of the UCI repository, chosen as Uria et al. did (RNADE, NeurIPS 2013)."""

from dataclasses import dataclass
from typing import cast

import numpy as np

from nfml_jax.data.vectors.arrays import LoadedVectors
from nfml_jax.data.vectors.files import manual_files, manual_folder
from nfml_jax.data.vectors.rows import not_alike, set_rows_aside
from nfml_jax.errors import UserError
from nfml_jax.tables.reader import read_table


@dataclass(frozen=True)
class Uci:
    """A small data set of the UCI repository: the names of its file, and its columns.

    `columns` are the columns to read. `event_dim` is the number of columns that are
    left without integer and repeated ones.
    """

    name: str
    files: tuple[str, ...]
    columns: tuple[int, ...]
    event_dim: int


UCI = {
    spec.name: spec
    for spec in (
        Uci("red_wine", ("winequality-red.csv",), tuple(range(12)), 11),
        Uci("white_wine", ("winequality-white.csv",), tuple(range(12)), 11),
        Uci("parkinsons", ("parkinsons_updrs.data",), tuple(range(22)), 15),
        # The class, and the price to be predicted, are left out.
        Uci("ionosphere", ("ionosphere.data", "ionosphere.csv"), tuple(range(34)), 32),
        Uci("housing", ("housing.data",), tuple(range(13)), 10),
    )
}


def load_uci(
    spec: Uci,
    *,
    manual_dir=None,
    validation: float = 0.1,
    test: float = 0.1,
    seed: int = 0,
) -> LoadedVectors:
    """Load a small set of the UCI repository, without integer and repeated columns.

    Of every two columns with a correlation above 0.98 the first is left out. The papers
    evaluate by ten folds; here one split is drawn by `seed`.

    Args:
      spec: the set, one of `UCI`.
      manual_dir: the folder in which the set's file is.
      validation: the fraction or count of validation rows.
      test: the fraction or count of test rows.
      seed: the seed of the split.

    Raises:
      UserError: if the file is missing or has other columns than the published one.
    """
    found = {}
    for name in spec.files:
        found |= manual_files(manual_dir, name)
    if not found:
        raise UserError(
            f"{spec.name} needs {' or '.join(spec.files)} of the "
            f"UCI repository in {manual_folder(manual_dir)}."
        )
    path, open_file = next(iter(found.items()))
    table = read_table(path.name, open_file)["rows"]
    places = table.places(spec.columns)
    names, rows = [table.columns[i] for i in places], table.numbers(places)
    continuous = np.flatnonzero((rows != np.round(rows)).any(axis=0))
    kept = continuous[not_alike(rows[:, continuous])]
    if len(kept) != spec.event_dim:
        raise UserError(
            f"{path.name} keeps {len(kept)} columns where {spec.name} keeps "
            f"{spec.event_dim}; expected the file as the UCI repository has it."
        )
    rest, held_out = set_rows_aside(rows[:, kept], test, seed, "test")
    train, held_back = set_rows_aside(rest, validation, seed + 1, "validation")
    columns = tuple(names[i] for i in kept)
    source = f"UCI repository, {path.name}"
    held_out = cast(np.ndarray, held_out)  # there is one unless `test` is 0
    return LoadedVectors(spec.name, source, columns, train, held_back, held_out)
