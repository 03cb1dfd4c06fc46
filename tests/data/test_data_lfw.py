"""LFW's people and pairs are those of the files; nobody is trained and tested on."""

import io
import tarfile
import zipfile

import numpy as np
import pytest
from PIL import Image

from nfml_jax import data
from nfml_jax.data.pairs import read_pairs
from nfml_jax.errors import UserError

# Pictures of each person; every picture is of one gray, 10 person + 2 number.
PEOPLE = {
    "Ann_Lee": 3, "Bo": 2, "Cy_Fox": 1, "Di": 4, "Eve": 2, "Flo_May": 1, "Gus": 3,
    "Hal": 2, "Ida": 1,
}  # fmt: skip
DEV_TRAIN = "2\nAnn_Lee\t1\t3\nBo\t1\t2\nAnn_Lee\t2\tCy_Fox\t1\nBo\t1\tCy_Fox\t1\n"
DEV_TEST = "2\nDi\t1\t4\nEve\t1\t2\nDi\t3\tEve\t2\nEve\t1\tFlo_May\t1\n"
PAIRS = (
    "3\t1\nAnn_Lee\t1\t3\nAnn_Lee\t2\tCy_Fox\t1\n"
    "Di\t1\t4\nDi\t3\tEve\t2\nGus\t1\t3\nGus\t2\tIda\t1\n"
)


def files():
    """Path -> content of the tree."""
    found = {}
    for p, (name, count) in enumerate(PEOPLE.items()):
        for i in range(1, count + 1):
            buffer = io.BytesIO()
            picture = np.zeros((12, 10, 3), np.uint8)
            picture[3:9, 3:7] = 10 * p + 2 * i
            Image.fromarray(picture).save(buffer, "png")
            found[f"lfw/{name}/{name}_{i:04d}.png"] = buffer.getvalue()
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("faces")
    for path, content in files().items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content)
    (root / "pairsDevTrain.txt").write_text(DEV_TRAIN)
    (root / "pairsDevTest.txt").write_text(DEV_TEST)
    (root / "lfw_pairs.txt").write_text(PAIRS)
    return root


def load(folder, **options):
    return data.load(
        "lfw", manual_dir=folder, **{"image_size": 6, "crop": 0.4, **options}
    )


def shown(split, label_names):
    """(name, number) of every image."""
    places = {name: p for p, name in enumerate(PEOPLE)}
    grays = split.images[:, 3, 3, 0]
    names = [label_names[label] for label in split.labels]
    return [
        (name, int(gray) - 10 * places[name] >> 1)
        for name, gray in zip(names, grays, strict=True)
    ]


def pictures(names):
    return [(name, i) for name in names for i in range(1, PEOPLE[name] + 1)]


def named_pairs(loaded):
    images = shown(loaded.test, loaded.label_names)
    return [
        (images[a], images[b], bool(genuine))
        for a, b, genuine in zip(*loaded.pairs.arrays[:3], strict=True)
    ]


def test_view_1_trains_on_some_people_and_verifies_others(folder):
    loaded = load(folder)
    assert loaded.name == "lfw_view1" and loaded.open_set
    assert loaded.class_names == ("Ann_Lee", "Bo", "Cy_Fox")
    assert loaded.unseen == ("Di", "Eve", "Flo_May")
    assert shown(loaded.train, loaded.class_names) == pictures(loaded.class_names)
    assert shown(loaded.test, loaded.label_names) == pictures(loaded.unseen)
    assert named_pairs(loaded) == [
        (("Di", 1), ("Di", 4), True),
        (("Eve", 1), ("Eve", 2), True),
        (("Di", 3), ("Eve", 2), False),
        (("Eve", 1), ("Flo_May", 1), False),
    ]
    assert "3 classes and 3 unseen ones to test on, 4 pairs" in loaded.describe()
    assert loaded.summary()["pairs"] == 4


def test_a_byte_order_mark_is_no_part_of_a_list_of_pairs(tmp_path):
    plain, marked = tmp_path / "plain.txt", tmp_path / "marked.txt"
    for text in ("1\nAnn 1 2\nAnn 1 Bo 1\n", "Ann 1 2\nAnn 1 Bo 1\n"):
        plain.write_text(text, encoding="utf-8")
        marked.write_text(text, encoding="utf-8-sig")
        assert read_pairs(marked).pairs == read_pairs(plain).pairs


def test_view_2_trains_on_the_people_of_the_other_folds(folder):
    everyone = set()
    for fold, tested in (
        (1, {"Ann_Lee", "Cy_Fox"}),
        (2, {"Di", "Eve"}),
        (3, {"Gus", "Ida"}),
    ):
        loaded = load(folder, view=2, fold=fold)
        assert loaded.name == "lfw_view2"
        assert f"lfw_pairs.txt, fold {fold}, trained on the people" in loaded.source
        assert set(loaded.unseen) == tested and len(loaded.pairs) == 2
        assert (
            set(loaded.class_names)
            == {"Ann_Lee", "Cy_Fox", "Di", "Eve", "Gus", "Ida"} - tested
        )
        assert all(genuine == (a[0] == b[0]) for a, b, genuine in named_pairs(loaded))
        everyone |= tested
    assert len(everyone) == 6


def test_lists_of_people_say_whom_to_train_on(folder, tmp_path):
    for file in folder.glob("*.txt"):
        (tmp_path / file.name).write_text(file.read_text())
    people = (
        "3\n4\nAnn_Lee\t3\nCy_Fox\t1\nBo\t2\nHal\t2\n"
        "2\nDi\t4\nEve\t2\n2\nGus\t3\nIda\t1\n"
    )
    view_2 = dict(root=folder / "lfw", view=2, fold=2)
    fewer = {"Ann_Lee", "Cy_Fox", "Gus", "Ida"}
    for text, trained in (
        (None, fewer),
        (people, fewer | {"Bo", "Hal"}),
        (people.replace("\t", " ").replace("\n", "\r\n"), fewer | {"Bo", "Hal"}),
    ):
        if text:
            (tmp_path / "people.txt").write_text(text)
        loaded = load(tmp_path, **view_2)
        assert set(loaded.class_names) == trained and set(loaded.unseen) == {
            "Di",
            "Eve",
        }
        named = "people.txt" if text else "lfw_pairs.txt"
        assert loaded.source.endswith(f"fold 2, trained on the people of {named}")
    for text, sentence in (
        (people[:-6], "has 1 people in fold 3, and should have 2"),
        (people.replace("Bo\t2", "Bo"), "has 3 people in fold 1, and should have 4"),
        (people.replace("3\n4\n", "2\n4\n"), "has 3 folds, and should have 2"),
        (people.replace("3\n4\n", "4\n"), "has 3 folds, and should have 1"),
        (people.replace("3\n4\n", "3\n3\n"), "is 'Hal 2'; expected a number"),
        ("", "has 0 folds"),
        ("2\n1\nBo\t2\n1\nHal\t2\n", "has 2 folds, .* 3; copy both again"),
        (people.replace("Hal", "Hals"), "names Hals, and lfw"),
        (people.replace("Hal", "Di"), "has Di to train on and .* to test on"),
    ):
        (tmp_path / "people.txt").write_text(text)
        with pytest.raises(UserError, match=sentence):
            load(tmp_path, **view_2)
    (tmp_path / "peopleDevTrain.txt").write_text("2\nBo\t2\nHal\t2\n")
    loaded = load(tmp_path, root=folder / "lfw")
    assert loaded.class_names == ("Bo", "Hal") and loaded.name == "lfw_view1"


def test_folder_zip_and_tar_are_the_same_data(folder, tmp_path):
    digest = load(folder).digest
    assert load(tmp_path.parent, root=folder / "lfw").digest == digest
    for name in ("DEV_TRAIN", "DEV_TEST"):
        file = f"lfw_pairs{name.title().replace('_', '')}.txt"
        (tmp_path / file).write_text(globals()[name])
    with zipfile.ZipFile(tmp_path / "lfw_small.zip", "w") as archive:
        for path, content in files().items():
            archive.writestr(path, content)
    with tarfile.open(tmp_path / "faces.tgz", "w:gz") as archive:
        archive.add(folder / "lfw", "lfw")
    assert load(tmp_path).digest == digest
    assert load(tmp_path, root=tmp_path / "faces.tgz").digest == digest
    color = load(tmp_path, channels=3, image_size=(4, 5), crop=1.0)
    assert color.image_shape == (4, 5, 3) and color.digest != digest


def test_people_may_be_left_out_or_set_aside(folder):
    assert load(folder, min_images=2).class_names == ("Ann_Lee", "Bo")
    loaded = load(folder, validation=1)
    parts = loaded.train, loaded.validation, loaded.test
    labels = [set(part.labels) for part in parts]
    assert [len(part) for part in labels] == [2, 1, 3]
    assert len(set().union(*labels)) == len(loaded.label_names) == 6
    small = load(folder, max_train=1, max_test=4)
    assert small.num_classes == 2
    assert [genuine for _, _, genuine in named_pairs(small)] == [True, False]
    assert set(small.unseen) == {"Di", "Eve"}


def test_pairs_files_with_or_without_a_first_line(tmp_path):
    path = tmp_path / "pairs.txt"
    for text, folds, count in (
        (PAIRS, 3, 6),
        (DEV_TEST, 1, 4),
        (DEV_TEST.partition("\n")[2], 1, 4),
        (PAIRS.replace("\t", "  ").replace("\n", "\r\n") + "\n\n", 3, 6),
    ):
        path.write_text(text)
        pairs = read_pairs(path)
        assert (pairs.folds, len(pairs.pairs)) == (folds, count)
    for text, sentence in (
        ("", "has no pairs"),
        (PAIRS[:-14], "has 5 pairs, and by its first line should have 6"),
        ("3 x\n" + DEV_TEST, "has 5 pairs, and by its first line should have 0"),
        ("Di 1 2\nDi 1 two\n", "is 'Di 1 two'"),
        ("Di 1 2\nDi 1 Eve 2 3\n", "is 'Di 1 Eve 2 3'"),
    ):
        path.write_text(text)
        with pytest.raises(UserError, match=sentence):
            read_pairs(path)


def test_invalid_options_and_files_get_a_sentence(folder, tmp_path):
    for options, sentence in (
        ({"view": 3}, "view is 3"),
        ({"view": 2, "fold": 4}, r"fold is 4; .* has 3 fold"),
        ({"crop": 0.0}, r"crop is 0\.0"),
        ({"min_images": 9}, "min_images is 9, which leaves 0 people"),
        (
            {"root": tmp_path / "none.zip"},
            r"pairsDevTrain\.txt is neither|does not exist",
        ),
        ({"held_out": ["Bo"]}, "that it doesn.t train on already"),
        ({"max_test": -1}, "max_test=-1; expected"),
    ):
        with pytest.raises(UserError, match=sentence):
            load(folder, **options)
    with pytest.raises(UserError, match="has no lfw folder, zip or tgz"):
        load(tmp_path)
    (tmp_path / "lfw").mkdir()
    with pytest.raises(UserError, match=r"pairsDevTrain\.txt is neither in"):
        load(tmp_path)

    def with_pairs(train=DEV_TRAIN, test=DEV_TEST, **options):
        (tmp_path / "pairsDevTrain.txt").write_text(train)
        (tmp_path / "pairsDevTest.txt").write_text(test)
        return load(tmp_path, **options)

    with pytest.raises(UserError, match=r"no picture like Name/Name_0001\.jpg"):
        with_pairs()
    with zipfile.ZipFile(tmp_path / "tree.zip", "w") as archive:
        for path, content in files().items():
            archive.writestr(path, content)
    root = {"root": tmp_path / "tree.zip"}
    for train, test, sentence in (
        (
            DEV_TRAIN,
            DEV_TEST.replace("Flo_May", "Flo"),
            "names Flo, and tree",
        ),
        (DEV_TRAIN.replace("Bo", "Bob"), DEV_TEST, "names Bob, and tree"),
        (DEV_TRAIN, DEV_TEST.replace("\t4", "\t5"), "names picture 5 of Di"),
        (DEV_TRAIN, DEV_TEST.replace("Flo_May", "Bo"), "has Bo to train on"),
    ):
        with pytest.raises(UserError, match=sentence):
            with_pairs(train, test, **root)
    with zipfile.ZipFile(tmp_path / "tree.zip", "a") as archive:
        archive.writestr("lfw/Di/Di_0005.jpg", b"no picture")
    with pytest.raises(UserError, match=r"Di_0005\.jpg, which cannot be read"):
        with_pairs(**root)
    content = (tmp_path / "tree.zip").read_bytes()
    (tmp_path / "tree.zip").write_bytes(content[:-99])
    with pytest.raises(UserError, match="is not a zip that can be read"):
        with_pairs(**root)
    with tarfile.open(tmp_path / "tree.tgz", "w:gz") as archive:
        archive.add(folder / "lfw", "lfw")
    content = (tmp_path / "tree.tgz").read_bytes()
    (tmp_path / "tree.tgz").write_bytes(content[: len(content) // 2])
    with pytest.raises(UserError, match="is not a tar that can be read"):
        with_pairs(root=tmp_path / "tree.tgz")
