"""A table of labels takes the place of class folders, and its faults are named."""

import zipfile

import numpy as np
import pytest
from PIL import Image

from nfml_jax import data
from nfml_jax.errors import UserError

ROWS = [(f"photos/{i}.png", "ab"[i % 2]) for i in range(8)]


@pytest.fixture
def root(tmp_path):
    """Eight pictures of constant grays 0, 10, ..., in a folder of no class."""
    folder = tmp_path / "set"
    (folder / "photos").mkdir(parents=True)
    for i in range(8):
        Image.new("L", (4, 4), 10 * i).save(folder / f"photos/{i}.png")
    return folder


def write(path, rows, header=("path", "label"), delimiter=",", encoding="utf-8"):
    lines = [delimiter.join(map(str, row)) for row in (header, *rows)]
    path.write_text("\n".join(lines) + "\n", encoding=encoding)
    return path.name


def load(root, labels, **options):
    options = {"test_fraction": 0.25} | options
    return data.load("image_folder", root=root, labels=labels, image_size=4, **options)


def by_gray(images):
    """The class of each picture, by its gray."""
    return {
        int(image[0, 0, 0]) // 10: images.label_names[label]
        for part in (images.train, images.validation, images.test)
        if part is not None
        for image, label in zip(part.images, part.labels, strict=True)
    }


WANTED = {i: "ab"[i % 2] for i in range(8)}


@pytest.mark.parametrize(
    "header", [("path", "label"), ("Image ID", "Class"), ("file", "y")]
)
@pytest.mark.parametrize(
    ("delimiter", "encoding"), [(",", "utf-8-sig"), (";", "utf-16"), ("\t", "latin-1")]
)
def test_labels_are_read_by_the_names_of_columns(root, header, delimiter, encoding):
    labels = write(root / "labels.csv", ROWS, header, delimiter, encoding)
    images = load(root, labels)
    assert by_gray(images) == WANTED and not images.left_out
    assert "labels of labels.csv" in images.source


@pytest.mark.parametrize(
    "form",
    [
        "photos/{}.png",
        "./photos/{}.png",
        "photos\\{}.png",
        "{}.png",
        "{}",
        "set/photos/{}.png",
    ],
)
def test_a_path_is_one_in_the_tree_or_the_end_of_one(root, form):
    rows = [(form.format(i), "ab"[i % 2]) for i in range(8)]
    assert by_gray(load(root, write(root / "labels.csv", rows))) == WANTED


def test_the_table_lies_in_the_tree_or_beside_it_or_elsewhere(root, tmp_path):
    inside = load(root, write(root / "labels.csv", ROWS))
    write(tmp_path / "beside.csv", ROWS)
    for place in ("beside.csv", str(tmp_path / "beside.csv")):
        assert load(root, place).digest == inside.digest
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        for file in sorted(root.rglob("*.*")):
            archive.write(file, f"outer/{file.relative_to(root)}")
    assert load(tmp_path / "set.zip", "labels.csv").digest == inside.digest
    with pytest.raises(UserError, match="nor beside it"):
        load(root, "no.csv")


def test_a_split_says_what_each_picture_is_for(root):
    parts = ["train", "Train", "train", "train", "val", "valid", "test", "test"]
    rows = [(*row, part) for row, part in zip(ROWS, parts, strict=True)]
    images = load(root, write(root / "l.csv", rows, ("path", "label", "split")))
    assert images.counts == {"train": 4, "validation": 2, "test": 2}
    np.testing.assert_array_equal(np.unique(images.test.images), [60, 70])
    only_train = [(*row, "train") for row in ROWS]
    images = load(root, write(root / "l.csv", only_train, ("path", "label", "split")))
    assert images.counts == {"train": 6, "validation": 0, "test": 2}


def test_pictures_without_a_row_are_counted(root):
    (root / "notes.md").touch()
    images = load(root, write(root / "labels.csv", ROWS[:6]))
    assert len(by_gray(images)) == 6
    assert images.summary()["left_out"] == {
        "pictures without a row in the table of labels": {".png": 2},
        "files that are no pictures": {".md": 1},
    }


FAULTS = {
    r"1 row of no single file .*no\.png in line 10": [*ROWS, ("no.png", "a")],
    "1 row of a file that an earlier": [*ROWS, ("photos/0.png", "a")],
    r"2 rows without a label \(line 8; line 9\)": [
        *ROWS[2:],
        ("photos/0.png", " "),
        ("photos/1.png", ""),
    ],
    "names of columns and no rows": [],
    r"8 rows with an unknown split \('later' in line 2.* 3 more\); expected": [
        (*row, "later") for row in ROWS
    ],
    r"0 class\(es\) to train on": [(*row, "test") for row in ROWS],
}


@pytest.mark.parametrize("sentence", FAULTS)
def test_faults_of_a_table_are_named(root, sentence):
    rows = FAULTS[sentence]
    header = ("path", "label", "split")[: len(rows[0]) if rows else 2]
    labels = write(root / "labels.csv", rows, header)
    with pytest.raises(UserError, match=sentence):
        load(root, labels)


def test_columns_without_a_known_name_are_refused(root):
    labels = write(root / "labels.csv", ROWS, ("first", "second"))
    with pytest.raises(UserError, match="first, second, and none of them is the path"):
        load(root, labels)


def test_a_name_that_several_files_end_in_is_refused(root):
    (root / "more").mkdir()
    Image.new("L", (4, 4)).save(root / "more/0.png")
    with pytest.raises(UserError, match=r"0\.png, which 2 files end in, in line 2"):
        load(root, write(root / "labels.csv", [("0.png", "a")]))
