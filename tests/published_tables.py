"""Small files of the published names and layouts, their decisive traits kept."""

import io
import zipfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

# What reads the BSDS300 written here, in the place of the package h5py.
ARRAYS_AS_HDF5 = SimpleNamespace(File=lambda file, mode: np.load(file))


def write_published(folder: Path) -> Path:
    """POWER, GAS, HEPMASS, MINIBOONE and BSDS300, of 100 or 200 rows."""
    rng = np.random.default_rng(0)
    for name in ("power", "gas", "hepmass", "miniboone", "BSDS300"):
        (folder / name).mkdir(parents=True)
    steps = np.floor(rng.uniform(0, 50, (100, 8)))
    np.save(folder / "power/data.npy", steps)
    np.save(folder / "miniboone/data.npy", rng.normal(size=(100, 43)))
    base = rng.normal(size=(100, 8))
    alike = base[:, :3] + 0.01 * rng.normal(size=(100, 3))
    pandas = pytest.importorskip("pandas")
    names = ["Time", "Meth", "Eth", *(f"s{i}" for i in range(11))]
    sensors = np.concatenate([rng.normal(size=(100, 3)), alike, base], axis=1)
    table = pandas.DataFrame(sensors, columns=names)
    table.to_pickle(folder / "gas/ethylene_CO.pickle")
    for part, extra in (("train", 0), ("test", 1)):
        label = rng.integers(0, 2, (200, 1))
        rounded = rng.integers(0, 3, (200, 6))
        rows = np.concatenate([label, rounded, rng.normal(size=(200, 21 + extra))], 1)
        header = ",".join(["# label", *(f"f{i}" for i in range(27))])
        path = folder / f"hepmass/1000_{part}.csv"
        np.savetxt(path, rows, delimiter=",", header=header, comments="")
    patches = np.split(rng.normal(size=(100, 63)), [81, 90])
    parts = dict(zip(("train", "validation", "test"), patches, strict=True))
    with (folder / "BSDS300/BSDS300.hdf5").open("wb") as file:
        np.savez(file, **parts)
    return folder


def write_photographs(path: Path) -> None:
    """A zip of 23 photographs to train and 21 to test on, of noise."""
    rng = np.random.default_rng(0)
    with zipfile.ZipFile(path, "w") as archive:
        for part, count in (("train", 23), ("test", 21)):
            for i in range(count):
                pixels = rng.integers(0, 256, (20, 30, 3)).astype(np.uint8)
                file = io.BytesIO()
                Image.fromarray(pixels).save(file, "jpeg")
                archive.writestr(f"BSDS300/images/{part}/{i}.jpg", file.getvalue())
