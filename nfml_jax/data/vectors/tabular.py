"""The published benchmarks of density estimation on tables, and their preparation.

POWER, GAS, HEPMASS, MINIBOONE and BSDS300 as Papamakarios et al. prepared them (MAF,
NeurIPS 2017, appendix D) from the files they published, doi:10.5281/zenodo.1161203.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from nfml_jax.data.vectors.arrays import LoadedVectors
from nfml_jax.data.vectors.files import manual_files, manual_folder
from nfml_jax.data.vectors.rows import not_alike
from nfml_jax.errors import UserError
from nfml_jax.tables.reader import read_table


@dataclass(frozen=True)
class Published:
    """A benchmark: its files below `manual_dir`, and their expected content.

    `prepare` makes training, validation and test rows of the opened files; `sizes` are
    their published numbers. `statistics` names the parts that standardize it.
    """

    title: str
    files: tuple[str, ...]
    prepare: Callable
    event_dim: int
    sizes: tuple[int, int, int]
    statistics: tuple[str, ...] = ("train", "validation")

    @property
    def name(self) -> str:
        return self.title.lower()


def load_published(spec: Published, *, manual_dir=None) -> LoadedVectors:
    """Load a benchmark from its published files.

    Files that give other numbers of rows are read, with a warning, under the name
    `…_custom`.

    Raises:
      UserError: if a file is missing or has other columns.
    """
    opened = []
    for file in spec.files:
        found = manual_files(manual_dir, file)
        if not found:
            raise UserError(
                f"{spec.title} needs {file}: unpack the files of "
                f"doi:10.5281/zenodo.1161203 into {manual_folder(manual_dir)}."
            )
        opened.append(next(iter(found.values())))
    parts = spec.prepare(*opened)
    if parts[0].ndim != 2 or parts[0].shape[1] != spec.event_dim:
        raise UserError(
            f"{', '.join(spec.files)}: prepared training rows have shape "
            f"{parts[0].shape}; {spec.title} has {spec.event_dim} columns, so these "
            "are not its published files."
        )
    name, sizes = spec.name, tuple(map(len, parts))
    if sizes != spec.sizes:
        name = f"{spec.name}_custom"
        warnings.warn(
            f"{', '.join(spec.files)} give {_counts(sizes)} rows where {spec.title} "
            f"has {_counts(spec.sizes)}, so results are reported for {name}.",
            stacklevel=3,
        )
    columns = tuple(map(str, range(spec.event_dim)))
    source = f"published files {', '.join(spec.files)}"
    return LoadedVectors(name, source, columns, *parts, statistics=spec.statistics)


def _counts(sizes) -> str:
    return " / ".join(f"{size:,}" for size in sizes)


def _last_tenth(rows):
    """Return the rows without their last tenth, and that tenth."""
    return np.split(rows, [len(rows) - int(0.1 * len(rows))])


def _last_tenths(rows):
    """Return training, validation and test rows.

    The test is the last tenth, and validation the last tenth of the rest.
    """
    rows, test = _last_tenth(rows)
    return *_last_tenth(rows), test


def _array(open_file):
    table = read_table("data.npy", open_file)["rows"]
    return table.numbers(table.places(None))


def _power(open_file):
    """Return active power, voltage, three meters and the time of day, with noise."""
    rows = _array(open_file)
    rng = np.random.RandomState(42)  # the published shuffle and noise
    rng.shuffle(rows)
    rows = np.delete(rows, [1, 3], axis=1)
    voltage, power, meters = (rng.rand(len(rows), k) for k in (1, 1, 3))
    rows[:, :5] += np.hstack([0.001 * power, 0.01 * voltage, meters])
    return _last_tenths(rows)


def _gas(open_file):
    """Return the sensors of ethylene in CO, without one of any two correlated ones."""
    try:
        import pandas
    except ImportError as error:
        raise UserError(
            "GAS is a pickle of pandas; run `pip install pandas`."
        ) from error
    with open_file() as file:
        table = pandas.read_pickle(file)
    rows = table.drop(columns=["Meth", "Eth", "Time"]).to_numpy(np.float64)
    return _last_tenths(rows[:, not_alike(rows)])


def _hepmass(open_train, open_test):
    """Return the collisions with the new particle, without label and rounded columns.

    A column is left out if its smallest value occurs more than five times.
    """
    parts = []
    for open_file in (open_train, open_test):
        # The test file's lines have a field more than its first line has names.
        rows = read_table("hepmass.csv", open_file)["rows"].numbers(range(28))
        parts.append(rows[rows[:, 0] == 1, 1:])
    repeats = (parts[0] == parts[0].min(axis=0)).sum(axis=0)
    train, test = (rows[:, repeats <= 5] for rows in parts)
    return *_last_tenth(train), test


def _bsds300(open_file):
    """Return patches of 8 × 8 pixels without the last one, dequantized, of mean 0."""
    try:
        # No extra installs it: only one published data set needs it.
        import h5py  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise UserError(
            "BSDS300 is an HDF5 file; `pip install h5py`, or take bsds300_patches."
        ) from error
    with open_file() as raw, h5py.File(raw, "r") as file:
        return tuple(file[part][:] for part in ("train", "validation", "test"))


PUBLISHED = {
    spec.name: spec
    for spec in (
        Published(
            "POWER", ("power/data.npy",), _power, 6, (1_659_917, 184_435, 204_928)
        ),
        Published(
            "GAS",
            ("gas/ethylene_CO.pickle",),
            _gas,
            8,
            (852_174, 94_685, 105_206),
            statistics=("train", "validation", "test"),
        ),
        Published(
            "HEPMASS",
            ("hepmass/1000_train.csv", "hepmass/1000_test.csv"),
            _hepmass,
            21,
            (315_123, 35_013, 174_987),
        ),
        Published(
            "MINIBOONE",
            ("miniboone/data.npy",),
            lambda open_file: _last_tenths(_array(open_file)),
            43,
            (29_556, 3_284, 3_648),
        ),
        Published(
            "BSDS300",
            ("BSDS300/BSDS300.hdf5",),
            _bsds300,
            63,
            (1_000_000, 50_000, 250_000),
            statistics=(),
        ),
    )
}
