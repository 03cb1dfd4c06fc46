"""Pictures of a gallery belong to the people whose folders they lie in."""

import shutil
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from nfml_jax.data.galleries import people
from nfml_jax.data.trees import open_tree
from nfml_jax.errors import UserError


def gallery(root, *paths):
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (4, 4)).save(root / path)
    return root


def names(root):
    with open_tree(root) as tree:
        return {str(path): name for path, name in people(tree).items()}


@pytest.mark.parametrize(
    "paths",
    [
        ["alice/1.png", "bob/1.png"],
        ["alice.png", "bob.png"],
        ["alice/s1/1.png", "bob/s1/1.png"],
        ["alice/s1/1.png", "alice/s2/1.png", "bob/1.png"],
        ["alice/2020/may/1.png", "bob.png"],
        ["train/alice/1.png", "train/bob/1.png", "test/bob/2.png"],
    ],
)
@pytest.mark.parametrize("packed", ["", "zip", "gztar"])
def test_people_keep_their_names_however_deep_their_pictures_lie(
    paths, packed, tmp_path
):
    root = gallery(tmp_path / "faces-1.0", *paths)
    if packed:
        root = Path(shutil.make_archive(root, packed, tmp_path, root.name))
    assert set(names(root).values()) == {"alice", "bob"}


def test_a_packed_folder_of_another_name_is_skipped_or_refused(tmp_path):
    for inside in ("alice/1.png", "bob/1.png"):
        Image.new("L", (4, 4)).save(tmp_path / "x.png")
        with zipfile.ZipFile(tmp_path / "people (1).zip", "a") as file:
            file.write(tmp_path / "x.png", f"people/{inside}")
        with zipfile.ZipFile(tmp_path / "flat (1).zip", "a") as file:
            file.write(tmp_path / "x.png", f"flat/{inside.split('/')[0]}.png")
    assert set(names(tmp_path / "people (1).zip").values()) == {"alice", "bob"}
    with pytest.raises(UserError, match="the one folder 'flat', which may be"):
        names(tmp_path / "flat (1).zip")


def test_one_person_is_enough_but_not_one_folder_around_all(tmp_path):
    alone = gallery(tmp_path / "alone", "alice/1.png", "alice/2.png")
    assert set(names(alone).values()) == {"alice"}
    around = gallery(tmp_path / "around", "faces/alice/1.png", "faces/bob/1.png")
    with pytest.raises(UserError, match="the one folder 'faces', which may be"):
        names(around)
    with pytest.raises(UserError, match="holds no picture; expected NAME"):
        (tmp_path / "none").mkdir()
        names(tmp_path / "none")


def test_a_person_without_pictures_is_named(tmp_path):
    root = gallery(tmp_path, "alice/1.png", "bob/1.png")
    (root / "carol" / "s1").mkdir(parents=True)
    (root / "carol" / "notes.txt").write_text("soon")
    with pytest.warns(UserWarning, match="no picture of 'carol', who will not be"):
        assert set(names(root).values()) == {"alice", "bob"}
