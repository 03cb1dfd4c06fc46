"""Small sets with classes: read as they are, with a share of each class to test on."""

import warnings

import numpy as np
import pytest

from nfml_jax.data.vectors.load import load_vectors
from nfml_jax.data.vectors.uci_classes import PACKAGED
from nfml_jax.errors import UserError


@pytest.fixture
def folder(tmp_path):
    """An ionosphere of 60 rows: one repeated, one constant column, a letter last."""
    rows = np.random.default_rng(0).normal(size=(60, 4)).round(6)
    rows[:, 1] = 0
    rows[7] = rows[3]
    letters = np.where(np.arange(60) % 3 == 0, "b", "g")
    lines = [",".join([*map(str, x), c]) for x, c in zip(rows, letters, strict=True)]
    lines[7] = lines[3]
    (tmp_path / "ionosphere.data").write_text("\n".join(lines) + "\n")
    return tmp_path


@pytest.mark.parametrize("name", PACKAGED)
def test_packaged_sets_need_no_file(name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data = load_vectors(name)
    classes = len(data.context.classes)
    assert classes == 3 or name == "breast_cancer"
    for labels in data.given.values():
        shares = np.bincount(labels, minlength=classes) / len(labels)
        np.testing.assert_allclose(shares, data.context.prior, atol=0.05)


def test_files_lose_repeated_rows_and_constant_columns(folder):
    data = load_vectors("ionosphere_echoes", manual_dir=folder, standardize=False)
    assert data.columns == ("0", "2", "3") and data.context.classes == ("b", "g")
    assert data.counts == {"train": 35, "validation": 12, "test": 12}
    rows = np.concatenate([data.train, data.validation, data.test])
    assert len(np.unique(rows, axis=0)) == 59
    labels = np.concatenate(list(data.given.values()))
    assert (labels == 0).sum() == 20
    again = load_vectors("ionosphere_echoes", manual_dir=folder, seed=1)
    assert again.digest != data.digest
    whole = load_vectors("ionosphere_echoes", manual_dir=folder, validation=0.0)
    assert whole.validation is None and len(whole.train) == 47


def test_a_table_with_names_and_semicolons_has_numbers_for_classes(tmp_path):
    rows = np.random.default_rng(0).normal(size=(40, 11)).round(4)
    grades = np.where(np.arange(40) == 0, 3, 5 + np.arange(40) % 2)
    header = ";".join(f'"column {i}"' for i in range(12))
    lines = [
        ";".join([*map(str, x), str(g)]) for x, g in zip(rows, grades, strict=True)
    ]
    (tmp_path / "winequality-red.csv").write_text("\n".join([header, *lines]))
    data = load_vectors("red_wine_grades", manual_dir=tmp_path)
    assert data.columns[3] == "column 3" and data.event_dim == 11
    assert data.context.classes == ("3", "5", "6")
    # The only row of its class is one to train on.
    assert (data.given["train"] == 0).sum() == 1


def test_mistakes_get_a_sentence(folder):
    with pytest.raises(UserError, match="needs winequality-red"):
        load_vectors("red_wine_grades", manual_dir=folder)
    with pytest.raises(UserError, match="fractions whose sum is below 1"):
        load_vectors("iris", validation=0.5, test=0.5)
