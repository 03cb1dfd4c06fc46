"""Sets of vectors: what is read, how it is split and scaled, and what is refused."""

import warnings

import numpy as np
import pytest

from nfml_jax.data.vectors.arrays import LoadedVectors, make_vector_data
from nfml_jax.data.vectors.load import VECTOR_DATASETS, load_vectors
from nfml_jax.errors import UserError
from nfml_jax.synthetic.plane import DENSITIES

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
