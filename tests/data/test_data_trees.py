"""Folders and archives of files, however their names are spelled and linked."""

import io
import os
import stat
import tarfile
import zipfile

import pytest

from nfml_jax.data.trees import open_tree
from nfml_jax.errors import UserError

WANTED = ["cat/0.png", "cat/1.png", "dog/0.png"]


def listed(root):
    """The contents of all files by path, and what is unread."""
    with open_tree(root) as tree:
        return {str(p): tree.read(p) for p in tree.files}, tree.unread.summary()


def zip_of(path, members, links=()):
    with zipfile.ZipFile(path, "w") as archive:
        for name in members:
            archive.writestr(name, name.encode())
        for name, target in dict(links).items():
            entry = zipfile.ZipInfo(name)
            entry.create_system = 3
            entry.external_attr = (stat.S_IFLNK | 0o777) << 16
            archive.writestr(entry, target)
    return path


def tar_of(path, members, links=(), kind=tarfile.SYMTYPE):
    with tarfile.open(path, "w:gz") as archive:
        for name in members:
            entry = tarfile.TarInfo(name)
            entry.size = len(name.encode())
            archive.addfile(entry, io.BytesIO(name.encode()))
        for name, target in dict(links).items():
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = kind, target
            archive.addfile(entry)
    return path


@pytest.mark.parametrize("form", ["{}", "./{}", "/{}", ".//{}", "../{}", "./.././{}"])
@pytest.mark.parametrize("pack", [zip_of, tar_of])
def test_names_of_members_lose_what_no_unpacker_keeps(pack, form, tmp_path):
    names = [form.format(name.replace("/", "//")) for name in WANTED]
    files, unread = listed(pack(tmp_path / "a", names))
    assert list(files) == WANTED and not unread


@pytest.mark.parametrize("form", ["C:\\{}", "\\{}", ".\\{}"])
def test_names_of_windows_in_a_zip(form, tmp_path):
    names = [form.format(name).replace("/", "\\") for name in WANTED]
    files, _ = listed(zip_of(tmp_path / "a.zip", names))
    assert list(files) == WANTED


def test_a_zip_that_does_not_say_that_its_names_are_utf8(tmp_path):
    path = zip_of(tmp_path / "a.zip", ["caf\u00e9/0.png"])
    content = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        flag = archive.infolist()[0].flag_bits
    assert flag & 0x800
    # The flag stands at byte 6 of a local header and at byte 8 of a central one.
    content = bytearray(content)
    for signature, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = content.index(signature) + place
        content[at : at + 2] = (flag & ~0x800).to_bytes(2, "little")
    path.write_bytes(content)
    assert list(listed(path)[0]) == ["caf\u00e9/0.png"]


def test_links_of_a_folder_are_followed_but_not_in_circles(tmp_path):
    for name in WANTED:
        (tmp_path / "all" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "all" / name).write_text(name)
    root = tmp_path / "root"
    root.mkdir()
    (root / "cat").symlink_to(tmp_path / "all/cat")
    (root / "owl").mkdir()
    (root / "owl/0.png").symlink_to("../../all/dog/0.png")
    (root / "owl/round").symlink_to("..")
    (root / "owl/self").symlink_to("self")
    (root / "void").symlink_to("nothing")
    os.mkfifo(root / "owl/pipe")
    (root / ".git").mkdir()
    files, unread = listed(root)
    assert list(files) == ["cat/0.png", "cat/1.png", "owl/0.png"]
    assert unread == {
        "links that lead back to a folder around them": {"owl/round": 1},
        "links that lead nowhere": {"void": 1, "owl/self": 1},
        "special files": {"owl/pipe": 1},
        "hidden files and folders": 1,
    }


@pytest.mark.parametrize("pack", [zip_of, tar_of])
def test_links_of_an_archive_are_followed_within_it(pack, tmp_path):
    links = {
        "train/cat": "../cat",  # a folder
        "train/one": "cat",  # a link
        "owl/0.png": "../dog/0.png",
        "cat/round": "..",
        "a": "b",
        "b": "a",
        "out": "../../etc",
        "root": "/etc",
    }
    files, unread = listed(pack(tmp_path / "a", WANTED, links))
    linked = {
        f"train/{c}/{i}.png": f"cat/{i}.png" for c in ("cat", "one") for i in "01"
    }
    linked["owl/0.png"] = "dog/0.png"
    expected = {name: name for name in WANTED} | linked
    assert files == {name: text.encode() for name, text in expected.items()}
    assert set(unread["links that lead nowhere"]) == {"a", "b", "out", "root"}
    assert "cat/round" in unread["links that lead back to a folder around them"]


def test_second_names_in_a_tar_are_files(tmp_path):
    links = {"owl/0.png": "./dog/0.png"}
    files, _ = listed(tar_of(tmp_path / "a", WANTED, links, tarfile.LNKTYPE))
    assert files["owl/0.png"] == b"dog/0.png"


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_the_last_of_members_with_one_name_counts(tmp_path):
    files, unread = listed(zip_of(tmp_path / "a.zip", ["a/0.png", "./a/0.png"]))
    assert files == {"a/0.png": b"./a/0.png"}
    assert sum(unread.values()) == 1


def test_a_zip_with_a_password_is_refused(tmp_path):
    path = zip_of(tmp_path / "a.zip", WANTED[:1])
    content = bytearray(path.read_bytes())
    for signature, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(signature) + place] |= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match="protected by a password"):
        listed(path)
