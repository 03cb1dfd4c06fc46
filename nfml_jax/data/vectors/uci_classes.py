"""Small sets of the UCI repository with their classes, for metrics and classifiers.

Three come with scikit-learn; the wines' grades and the ionosphere's echoes are read
from the repository's own files.
"""

from dataclasses import dataclass

import numpy as np

from nfml_jax.data.draws import stratified, with_every_class
from nfml_jax.data.vectors.arrays import LoadedVectors
from nfml_jax.data.vectors.files import manual_files, manual_folder
from nfml_jax.errors import UserError
from nfml_jax.tables.reader import read_table

# Name -> the names of its file, in which the class is last in each row.
FILES = {
    "red_wine_grades": ("winequality-red.csv",),
    "white_wine_grades": ("winequality-white.csv",),
    "ionosphere_echoes": ("ionosphere.data", "ionosphere.csv"),
}
# Name -> scikit-learn's function, which reads an included file.
PACKAGED = {
    "iris": "load_iris",
    "wine": "load_wine",
    "breast_cancer": "load_breast_cancer",
}
UCI_CLASSES = (*PACKAGED, *FILES)


@dataclass(frozen=True)
class Table:
    """Rows `[N, D]` of named columns, and the name of the class of each `[N]`."""

    source: str
    columns: tuple[str, ...]
    rows: np.ndarray
    classes: np.ndarray


def load_uci_classes(
    name: str,
    *,
    manual_dir=None,
    validation: float = 0.2,
    test: float = 0.2,
    seed: int = 0,
) -> LoadedVectors:
    """Load a small set of the UCI repository whose rows have a class.

    Rows that repeat an earlier one are left out, because a neighbor at distance zero in
    another part would reveal the class. Columns of a single value are left out, too.
    Parts are drawn in the classes' proportions, and every class keeps a row to train
    on.

    Args:
      name: the name of the set.
      manual_dir: the folder in which the set's file is, if it comes with no package.
      validation: the fraction of validation rows.
      test: the fraction of test rows.
      seed: the seed of the split.

    Raises:
      UserError: for fractions whose sum isn't below 1.
    """
    table = _packaged(name) if name in PACKAGED else _from_file(name, manual_dir)
    classes, numbers = np.unique(table.classes, return_inverse=True)
    varies = np.ptp(table.rows, axis=0) > 0
    rows = np.column_stack([table.rows[:, varies], numbers])
    rows = rows[np.sort(np.unique(rows, axis=0, return_index=True)[1])]
    for share in (validation, test, validation + test):
        if not 0 <= share < 1:
            raise UserError(
                f"validation is {validation} and test {test}; of {name} they must be "
                "fractions whose sum is below 1."
            )
    counts = [round(share * len(rows)) for share in (test, validation)]
    parts = []
    for i, count in enumerate(counts):
        labels = rows[:, -1]
        chosen, rest = stratified(labels, count, seed + i)
        rest, chosen = with_every_class(labels, rest, chosen)
        parts.append(rows[chosen])
        rows = rows[rest]
    columns = tuple(np.array(table.columns)[varies])
    return LoadedVectors(
        name,
        table.source,
        (*columns, "class"),
        rows,
        parts[1] if len(parts[1]) else None,
        parts[0],
        given=1,
        classes=tuple(classes.tolist()),
    )


def _packaged(name) -> Table:
    from sklearn import datasets

    found = getattr(datasets, PACKAGED[name])()
    columns = tuple(map(str, found.feature_names))
    names = np.array([str(c) for c in found.target_names])
    return Table("scikit-learn", columns, found.data, names[found.target])


def _from_file(name, manual_dir) -> Table:
    found = {}
    for file in FILES[name]:
        found |= manual_files(manual_dir, file)
    if not found:
        raise UserError(
            f"{name} needs {' or '.join(FILES[name])} of the UCI "
            f"repository in {manual_folder(manual_dir)}; iris, wine and breast_cancer "
            "need no file."
        )
    path, open_file = next(iter(found.items()))
    table = read_table(path.name, open_file)["rows"]
    *columns, last = table.places(None)
    # The class may be a letter.
    rows, classes = table.numbers(columns), table.texts(last)
    source = f"UCI repository, {path.name}"
    names = tuple(table.columns[i] for i in columns)
    return Table(source, names, rows, np.array(classes))
