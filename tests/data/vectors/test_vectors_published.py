"""Published tables, small sets of UCI and patches of photographs."""

import dataclasses
import sys
import warnings
import zipfile

import numpy as np
import pytest

from nfml_jax.data.vectors import load as vectors
from nfml_jax.data.vectors import patches, tabular, uci
from nfml_jax.data.vectors.load import load_vectors
from nfml_jax.data.vectors.rows import not_alike
from nfml_jax.errors import UserError
from tests.data.vectors.test_vectors_load import ROWS, write_csv
from tests.published_tables import ARRAYS_AS_HDF5, write_photographs, write_published

RNG = np.random.default_rng(1)


def test_published_files_are_prepared_as_published(tmp_path, monkeypatch):
    folder = write_published(tmp_path)
    monkeypatch.setitem(sys.modules, "h5py", ARRAYS_AS_HDF5)
    for name in tabular.PUBLISHED:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            data = load_vectors(name, manual_dir=folder)
        spec = tabular.PUBLISHED[name]
        assert data.name == f"{name}_custom"
        assert data.event_dim == spec.event_dim
        counts = (len(data.train), len(data.validation), len(data.test))
        if name == "hepmass":
            assert all(np.ptp(data.train, axis=0) > 1)
        else:
            assert counts == (81, 9, 10)
        # The published numbers of rows earn the published name.
        whole = tabular.load_published(
            dataclasses.replace(spec, sizes=counts), manual_dir=folder
        )
        assert whole.name == name
        if name == "bsds300":
            continue  # as it is published, not standardized
        used = np.concatenate([getattr(data, part) for part in spec.statistics])
        np.testing.assert_allclose(used.mean(0), 0, atol=1e-5)
        np.testing.assert_allclose(used.std(0), 1, atol=1e-5)
    with pytest.warns(UserWarning, match="81 / 9 / 10 rows where POWER has 1,659,917"):
        load_vectors("power", manual_dir=folder)
    sizes_here = dataclasses.replace(tabular.PUBLISHED["power"], sizes=(81, 9, 10))
    power = tabular.load_published(sizes_here, manual_dir=folder)
    whole, part = np.divmod(np.concatenate(list(power.parts.values())), 1)
    assert part[:, 0].max() < 0.001 and part[:, 1].max() < 0.01
    assert part[:, 2].max() > 0.5 and not part[:, 5].any()
    original = np.load(folder / "power/data.npy")[:, [0, 2, 4, 5, 6, 7]]
    assert set(map(tuple, whole)) == set(map(tuple, original))


def test_files_of_other_columns_are_not_the_published_ones(tmp_path):
    (tmp_path / "miniboone").mkdir()
    np.save(tmp_path / "miniboone/data.npy", ROWS)
    with pytest.raises(UserError, match="MINIBOONE has 43 columns"):
        load_vectors("miniboone", manual_dir=tmp_path)


def test_principal_components_are_uncorrelated_and_largest_first(tmp_path):
    rows = RNG.normal(size=(300, 5)) @ RNG.normal(size=(5, 5)) + 7
    np.save(tmp_path / "set.npy", rows)
    options = {"path": tmp_path / "set.npy", "standardize": False}
    data = load_vectors("vectors", components=3, **options)
    assert data.name == "vectors:set_pca3" and data.columns == ("pc1", "pc2", "pc3")
    covariance = np.cov(data.train.T)
    np.testing.assert_allclose(covariance, np.diag(np.diag(covariance)), atol=1e-4)
    assert (np.diff(np.diag(covariance)) < 0).all()
    # All of them are a rotation, which keeps distances.
    whole, rotated = (load_vectors("vectors", components=n, **options) for n in (0, 5))
    ours = np.linalg.norm(rotated.test[0] - rotated.test[1])
    assert ours == pytest.approx(np.linalg.norm(whole.test[0] - whole.test[1]), 1e-4)
    assert whole.digest == rotated.digest == data.digest


def test_the_first_of_two_correlated_columns_is_dropped():
    a, b = RNG.normal(size=(2, 100))
    assert not_alike(np.stack([a, b, a + 1e-3 * b, -a, 2 * a], 1)) == [1, 3, 4]


def test_small_sets_lose_discrete_and_repeated_columns(tmp_path):
    values = RNG.normal(size=(60, 15))
    whole, twice = np.round(9 * values[:, :3]), values[:, :4] + 1e-4
    rows = np.concatenate([whole, twice, values], axis=1)
    header = "\t".join(f"v{i}" for i in range(22))
    path = write_csv(tmp_path / "parkinsons_updrs.data", rows, header, "\t")
    data = load_vectors("parkinsons", manual_dir=tmp_path, test=10, validation=5)
    assert data.columns == tuple(f"v{i}" for i in range(7, 22))
    assert (len(data.train), len(data.validation), len(data.test)) == (45, 5, 10)
    with zipfile.ZipFile(tmp_path / "any.zip", "w") as archive:
        archive.write(path, "folder/parkinsons_updrs.data")
    path.unlink()
    zipped = load_vectors("parkinsons", manual_dir=tmp_path, test=10, validation=5)
    assert zipped.digest == data.digest
    write_csv(path, rows[:, :21], "", "\t")
    with pytest.raises(UserError, match="has no column 21"):
        load_vectors("parkinsons", manual_dir=tmp_path)
    assert set(uci.UCI) < set(vectors.VECTOR_DATASETS)


def test_patches_follow_the_recipe(tmp_path):
    write_photographs(tmp_path / "photographs.zip")
    counts = {"train": 50, "validation": 20, "test": 30}
    data = load_vectors("bsds300_patches", manual_dir=tmp_path, **counts)
    assert {k: data.summary()[k] for k in counts} == counts
    assert data.event_dim == 63 and data.log_det == 0
    gray = np.arange(20 * 30, dtype=np.uint8).reshape(20, 30)
    drawn = patches.draw_patches([gray, gray.T], 200, np.random.default_rng(0))
    first = drawn.reshape(-1, 8, 8).astype(int)
    steps = {
        (int(a), int(b))
        for a, b in np.stack(
            [
                np.diff(first, axis=2)[:, 0, 0] % 256,
                np.diff(first, axis=1)[:, 0, 0] % 256,
            ],
            1,
        )
    }
    assert steps == {(1, 30), (30, 1)}
    x = patches.preprocess(drawn, np.random.default_rng(0))
    last = -x.sum(axis=1)
    centered = np.concatenate([x, last[:, None]], axis=1)
    off = centered * 256 - (drawn - drawn.mean(1, keepdims=True))
    assert x.dtype == np.float32 and 0.5 < np.abs(off).max() < 1
