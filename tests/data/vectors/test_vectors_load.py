"""Sets of vectors: what is read, how it is split and scaled, and what is refused."""

import dataclasses
import sys
import warnings
import zipfile

import numpy as np
import pytest

from nfml_jax.data.vectors import load as vectors
from nfml_jax.data.vectors import patches, tabular, uci
from nfml_jax.data.vectors.arrays import LoadedVectors, make_vector_data
from nfml_jax.data.vectors.load import VECTOR_DATASETS, load_vectors
from nfml_jax.data.vectors.rows import not_alike
from nfml_jax.errors import UserError
from nfml_jax.synthetic.plane import DENSITIES
from tests.published_tables import ARRAYS_AS_HDF5, write_photographs, write_published

RNG = np.random.default_rng(0)
ROWS = RNG.normal([1e4, -2, 0], [300, 0.1, 1], (200, 3))


def write_csv(path, rows=ROWS, header="a,b,c", delimiter=","):
    lines = [delimiter.join(map(repr, map(float, row))) for row in rows]
    path.write_text("\n".join(([header] if header else []) + lines))
    return path


def restored(data):
    """All original rows of a set, in lexical order."""
    parts = [data.train, data.validation, data.test]
    rows = np.concatenate([data.to_original(p) for p in parts if p is not None])
    return rows[np.lexsort(rows.T[::-1])]


def test_every_kind_of_file_gives_the_same_rows(tmp_path):
    np.save(tmp_path / "set.npy", ROWS)
    np.savez(tmp_path / "one.npz", x=ROWS, columns=["a", "b", "c"])
    write_csv(tmp_path / "comma.csv")
    write_csv(tmp_path / "none.csv", header="")
    write_csv(tmp_path / "semicolon.csv", header='"a";"b";"c"', delimiter=";")
    write_csv(tmp_path / "spaces.data", header="", delimiter="  ")
    write_csv(tmp_path / "tabs.txt", header="a\tb\tc", delimiter="\t")
    expected = ROWS[np.lexsort(ROWS.T[::-1])]
    digests = set()
    for path in sorted(tmp_path.iterdir()):
        data = load_vectors("vectors", path=path)
        assert data.name == f"vectors:{path.stem}"
        named = path.stem in ("one", "comma", "semicolon", "tabs")
        assert data.columns == (tuple("abc") if named else tuple("012"))
        np.testing.assert_allclose(restored(data), expected, rtol=1e-6, atol=1e-6)
        digests.add(data.digest)
    assert len(digests) == 1


def test_rows_are_standardized_by_the_training_rows_and_the_density_can_be_undone():
    loaded = LoadedVectors(
        "n", "s", tuple("abc"), ROWS[:100], ROWS[100:150], ROWS[150:]
    )
    data = make_vector_data(loaded)
    assert data.train.dtype == np.float32
    np.testing.assert_allclose(data.train.mean(0, dtype=float), 0, atol=1e-6)
    np.testing.assert_allclose(data.train.std(0, dtype=float), 1, atol=1e-6)
    np.testing.assert_allclose(data.to_original(data.test), ROWS[150:], rtol=1e-5)
    # Of two normal densities, fitted before and after, one is the other's.
    z, x = data.test.astype(float), ROWS[150:]
    here = -0.5 * (z**2).sum(1)
    there = -0.5 * (((x - ROWS[:100].mean(0)) / ROWS[:100].std(0)) ** 2).sum(1)
    there -= np.log(ROWS[:100].std(0)).sum()
    np.testing.assert_allclose(here + data.log_det, there, rtol=1e-4)
    same = make_vector_data(loaded, standardize=False)
    assert same.log_det == 0 and same.digest == data.digest
    np.testing.assert_array_equal(same.test, ROWS[150:].astype(np.float32))
    assert data.summary()["train"] == 100 and data.summary()["event_dim"] == 3
    assert "100 training + 50 validation + 50 test rows of 3 numbers" in data.describe()


def test_drawn_splits_are_disjoint_repeatable_and_differ_by_seed(tmp_path):
    path = write_csv(tmp_path / "set.csv")
    a, again = (load_vectors("vectors", path=path, test=30) for _ in "ab")
    other = load_vectors("vectors", path=path, test=30, seed=1)
    assert (len(a.train), len(a.validation), len(a.test)) == (153, 17, 30)
    assert a.digest == again.digest != other.digest
    assert len(np.unique(restored(a), axis=0)) == 200
    small = load_vectors("vectors", path=path, max_train=9, max_test=8, validation=0)
    assert (len(small.train), small.validation, len(small.test)) == (9, None, 8)


def test_the_fingerprint_of_vectors_knows_columns_classes_and_rows_outside():
    labels = np.arange(len(ROWS)) % 2
    rows = np.column_stack([ROWS, labels])
    parts = rows[:100], rows[100:150], rows[150:]

    def data(
        columns=("a", "b", "c", "d"), classes=("x", "y"), outside=None, parts=parts
    ):
        loaded = LoadedVectors(
            "set", "s", columns, *parts, given=1, classes=classes, outside=outside
        )
        return make_vector_data(loaded)

    first = data()
    others = [
        data(columns=("b", "a", "c", "d")),
        data(classes=("y", "x")),
        data(outside=ROWS[:3]),
        data(outside=ROWS[1:4]),
        data(parts=(rows[100:150], rows[:100], rows[150:])),
    ]
    assert len({first.fingerprint, *(other.fingerprint for other in others)}) == 6
    assert data().fingerprint == first.fingerprint


def test_given_parts_are_kept(tmp_path):
    parts = {"train": ROWS[:120], "valid": ROWS[120:150], "test": ROWS[150:]}
    np.savez(tmp_path / "set.npz", **parts, columns=["a", "b", "c"])
    folder = tmp_path / "folder"
    folder.mkdir()
    for part, rows in parts.items():
        write_csv(folder / f"{part}.csv", rows)
    for path in (tmp_path / "set.npz", folder):
        data = load_vectors("vectors", path=path, columns=["c", 0])
        assert data.columns == ("c", "a")
        assert (len(data.train), len(data.validation), len(data.test)) == (120, 30, 50)
        test = ROWS[150:, [2, 0]]
        np.testing.assert_allclose(data.to_original(data.test), test, rtol=1e-5)
    del parts["valid"]
    np.savez(tmp_path / "set.npz", **parts)
    data = load_vectors("vectors", path=tmp_path / "set.npz", validation=20)
    assert (len(data.train), len(data.validation), len(data.test)) == (100, 20, 50)


def columns_beside(*more):
    return np.concatenate([ROWS, np.stack(more, 1)], axis=1)


DOUBTFUL = {
    "nearly discrete": columns_beside(np.round(ROWS[:, 2])),
    "repeated": columns_beside(3 * ROWS[:, 0] - 7),
    "constant": columns_beside(np.full(200, 3.0)),
}


@pytest.mark.parametrize("kind", DOUBTFUL)
def test_doubtful_columns_are_named(kind, tmp_path):
    path = write_csv(tmp_path / "set.csv", DOUBTFUL[kind], "a,b,c,d")
    with pytest.warns(UserWarning, match=f"1 of 4 columns .* {kind}: d"):
        load_vectors("vectors", path=path, standardize=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_vectors("vectors", path=path, columns=[0, 1, 2])


def test_a_constant_column_cannot_be_standardized(tmp_path):
    path = write_csv(tmp_path / "set.csv", DOUBTFUL["constant"], "a,b,c,d")
    with pytest.raises(UserError, match=r"constant columns \(d\)"):
        load_vectors("vectors", path=path)


MISTAKES = {
    "NaN": (lambda r: r, r"1 of the \d+ train rows .* NaN"),
    "no columns": (lambda r: r[:, :0], "at least one number"),
    "one axis": (lambda r: r[:, 0], r"expected numbers \[rows, columns\]"),
    "text": (lambda r: r.astype(str), "expected numbers"),
    "one row": (lambda r: r[:1], "of 1 rows"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_an_array_that_has_no_density_is_refused(mistake, tmp_path):
    change, sentence = MISTAKES[mistake]
    rows = ROWS.copy()
    if mistake == "NaN":
        rows[:] += np.where(np.arange(200) == 0, np.nan, 0)[:, None]
        rows = np.concatenate([rows[:1], np.repeat(rows[1:], 50, axis=0)])
    np.save(tmp_path / "set.npy", change(rows))
    seeds = range(20) if mistake == "NaN" else [0]
    with pytest.raises(UserError, match=sentence):
        for seed in seeds:
            load_vectors("vectors", path=tmp_path / "set.npy", seed=seed)


def test_mistakes_in_files_and_options_are_sentences(tmp_path):
    def refuse(sentence, name="vectors", **options):
        with pytest.raises(UserError, match=sentence):
            load_vectors(name, **options)

    path = write_csv(tmp_path / "set.csv")
    refuse("did you mean 'power'", "powr")
    refuse("did you mean 'columns'", path=path, column=[1])
    refuse("does not exist", path=tmp_path / "none.csv")
    refuse("has no column 'z'; it has a, b, c", path=path, columns=["z"])
    refuse("has no column 3", path=path, columns=[3])
    refuse("test is 0", path=path, test=0)
    refuse("validation=170.5; expected", path=path, validation=170.5)
    refuse("max_train=-1; expected", path=path, max_train=-1)
    refuse("no columns.*at least one", path=path, drop="0:3")
    refuse("missing is 'skip'", path=path, missing="skip")
    refuse("header is 'maybe'", path=path, header="maybe")
    (tmp_path / "bad.csv").write_text("a,b\n1,2\n3,?\n")
    refuse(
        r"missing values: column b in 1 of 2 rows \(line 3\)", path=tmp_path / "bad.csv"
    )
    (tmp_path / "bad.npy").write_bytes(b"nothing")
    refuse("not an array file", path=tmp_path / "bad.npy")
    (tmp_path / "bad.xyz").write_bytes(b"nothing")
    refuse("unknown kind", path=tmp_path / "bad.xyz")
    np.savez(tmp_path / "bad.npz", first=ROWS, second=ROWS)
    refuse("first, second", path=tmp_path / "bad.npz")
    np.savez(tmp_path / "bad.npz", train=ROWS, test=ROWS[:, :2])
    refuse("2 and 3 columns", path=tmp_path / "bad.npz")
    (tmp_path / "empty").mkdir()
    refuse("no file named train, validation or test", path=tmp_path / "empty")
    refuse("path=3; expected the path of a file", path=3)
    refuse("standardize='yes'; expected", path=path, standardize="yes")
    for name in ("power", "gas", "hepmass", "miniboone", "bsds300", "red_wine"):
        refuse("needs ", name, manual_dir=tmp_path)
    refuse("has 0 photographs", "bsds300_patches", manual_dir=tmp_path)


@pytest.mark.parametrize("name", DENSITIES)
def test_every_density_is_a_data_set(name):
    counts = {"train": 300, "validation": 0, "test": 200}
    data = load_vectors(name, **counts)
    assert {k: data.summary()[k] for k in counts} == counts
    assert data.digest != load_vectors(name, **counts, seed=1).digest
    assert name in VECTOR_DATASETS
    # Standardizing and back never rounds a point out of the support.
    back = DENSITIES[name].log_prob(data.to_original(data.test))
    assert np.isfinite(back).all()


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


def test_columns_and_classes_to_condition_on(tmp_path):
    kinds = np.arange(200) % 4
    path = write_csv(tmp_path / "set.csv", np.column_stack([ROWS, kinds]), "a,b,c,kind")
    data = load_vectors("vectors", path=path, context=("b", 0), columns=[0, 1, 2])
    assert data.columns == ("c",) and data.context.columns == ("b", "a")
    given = np.concatenate(list(data.given.values()))
    assert set(map(tuple, given)) == set(map(tuple, ROWS[:, [1, 0]]))
    encoded = data.context.encode(data.given["train"])
    np.testing.assert_allclose(encoded.mean(0), 0, atol=1e-5)
    classed = load_vectors("vectors", path=path, labels="kind", held_out=("1",))
    assert classed.context.classes == ("0", "2", "3") and classed.event_dim == 3
    assert sum(classed.context.prior) == pytest.approx(1)
    whole = load_vectors("vectors", path=path, labels="kind")
    # All rows of a class that is never trained on are there to find it strange.
    outside = classed.to_original(classed.outside)
    outside, expected = (x[np.argsort(x[:, 0])] for x in (outside, ROWS[kinds == 1]))
    np.testing.assert_allclose(outside, expected, rtol=1e-5)
    assert classed.summary()["outside"] == len(outside)
    one_hot = classed.context.encode(classed.given["test"])
    assert one_hot.sum() == len(classed.test) == (whole.given["test"] != 1).sum()
    assert "rows of 3 numbers given 3 classes" in classed.describe()


def test_images_are_rows_of_pixels_given_their_class(manual_dir, tmp_path):
    options = {"source": "manual", "manual_dir": manual_dir, "data_dir": tmp_path}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data = load_vectors("mnist", components=4, **options)
    assert data.event_dim == 4 and data.context.size == 10
    assert data.counts == {"train": 360, "validation": 40, "test": 200}


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
