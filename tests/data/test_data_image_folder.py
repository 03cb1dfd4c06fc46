"""Image folders and zips of them load alike, and say what is wrong with them."""

import io
import json
import os
import zipfile

import numpy as np
import pytest
from PIL import Image

from nfml_jax import data
from nfml_jax.errors import UserError


def picture(level, mode="L", size=(6, 5)):
    return Image.new(mode, size, level)


def write(root, counts, suffix="png"):
    """Class c holds pictures of the constant gray 10 c + i."""
    for c, (name, count) in enumerate(counts.items()):
        (root / name).mkdir(parents=True)
        for i in range(count):
            picture(10 * c + i).save(root / name / f"{i}.{suffix}")
    return root


def zipped(root, path, prefix=""):
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(root.rglob("*")):
            archive.write(file, f"{prefix}{file.relative_to(root)}")
    return path


def load(root, **options):
    return data.load("image_folder", root=root, image_size=4, **options)


COUNTS = {"b": 10, "a": 5, "c": 5}


@pytest.mark.parametrize("suffix", ["png", "bmp", "pgm", "PNG"])
def test_folder_zip_and_wrapped_zip_are_the_same_data(tmp_path, suffix):
    root = write(tmp_path / "set", COUNTS, suffix)
    (root / ".hidden").mkdir()
    picture(0).save(root / ".hidden/0.png")
    (root / "__MACOSX/a").mkdir(parents=True)
    picture(0).save(root / "__MACOSX/a/0.png")
    (root / "a/._0.png").write_bytes(b"not an image")
    (root / "readme.txt").write_text("nothing to see")
    loaded = load(root)
    assert loaded.class_names == ("a", "b", "c")
    assert (len(loaded.train), len(loaded.test)) == (16, 4)
    np.testing.assert_array_equal(np.bincount(loaded.test.labels), [1, 2, 1])
    # Every pixel tells the picture's class, so images and labels stayed together.
    tens = {0: 1, 1: 0, 2: 2}
    for split in (loaded.train, loaded.test):
        assert split.images.shape[1:] == (4, 4, 1)
        expected = [tens[label] for label in split.labels]
        np.testing.assert_array_equal(split.images[:, 2, 2, 0] // 10, expected)
    for prefix in ("", "outer/"):
        archive = zipped(root, tmp_path / f"z{len(prefix)}.zip", prefix)
        assert load(archive).digest == loaded.digest
    assert load(root, seed=1).digest != loaded.digest == load(root, seed=0).digest


def test_train_and_test_folders_are_kept(tmp_path):
    root = tmp_path / "set"
    write(root / "train", {"a": 3, "b": 2})
    write(root / "test", {"a": 1, "b": 4})
    loaded = load(root)
    np.testing.assert_array_equal(loaded.train.labels, [0, 0, 0, 1, 1])
    np.testing.assert_array_equal(loaded.test.labels, [0, 1, 1, 1, 1])
    write(root / "test/..", {"test/z": 1})
    with pytest.raises(UserError, match="'z' to test on but not under train"):
        load(root)


@pytest.mark.parametrize("name", ["val", "valid", "validation"])
def test_a_validation_folder_is_tested_on_or_beside_test_validated_on(tmp_path, name):
    root = tmp_path / "set"
    write(root / "train", {"a": 3, "b": 2})
    write(root / name, {"a": 1, "b": 4})
    alone = load(root)
    assert alone.class_names == ("a", "b")
    np.testing.assert_array_equal(alone.test.labels, [0, 1, 1, 1, 1])
    assert alone.validation is None
    write(root / "test", {"a": 2, "b": 1})
    beside = load(root, validation=0.5)
    np.testing.assert_array_equal(beside.train.labels, [0, 0, 0, 1, 1])
    np.testing.assert_array_equal(beside.validation.labels, alone.test.labels)
    np.testing.assert_array_equal(beside.test.labels, [0, 0, 1])


def test_an_image_below_the_class_folders_is_refused(tmp_path):
    root = write(tmp_path / "set", COUNTS)
    write(root / "a", {"more": 1})
    for place in (root, zipped(root, tmp_path / "set.zip", "outer/")):
        with pytest.raises(
            UserError, match=r"a/more/0\.png.* expected root/CLASS/pict"
        ):
            load(place)


def test_the_only_image_of_a_class_is_trained_on(tmp_path):
    root = write(tmp_path / "set", {"a": 1, "b": 4, "c": 1})
    loaded = load(root, test_fraction=0.5, validation=0.5)
    assert set(loaded.train.labels) == {0, 1, 2}
    assert set(loaded.test.labels) == {1}
    alone = write(tmp_path / "alone", {"a": 1, "b": 1})
    with pytest.raises(UserError, match="no class has a second image"):
        load(alone)


def test_color_size_and_depth(tmp_path):
    for name in ("a", "b"):
        (tmp_path / "set" / name).mkdir(parents=True)
        for i in range(5):
            picture((200, 100, 0), "RGB").save(tmp_path / "set" / name / f"{i}.png")
    deep = Image.fromarray(np.full((5, 6), 0x4321, np.uint16))
    deep.save(tmp_path / "set/a/deep.png")
    color = data.load(
        "image_folder", root=tmp_path / "set", image_size=(3, 7), channels=3
    )
    assert color.image_shape == (3, 7, 3)
    assert tuple(color.train.images[-1, 1, 1]) == (200, 100, 0)
    gray = load(tmp_path / "set")
    levels = {*np.unique(gray.train.images), *np.unique(gray.test.images)}
    assert levels == {0x43, 118}


def test_a_photo_is_turned_as_its_camera_was(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        pixels = np.zeros((8, 8), np.uint8)
        pixels[:4] = 200
        exif = Image.Exif()
        exif[0x0112] = 3 if name == "b" else 1  # upside down
        for i in range(2):
            Image.fromarray(pixels).save(tmp_path / name / f"{i}.jpg", exif=exif)
    loaded = load(tmp_path, test_fraction=0.5)
    upper = loaded.train.images[:, 0, 0, 0] > 100
    np.testing.assert_array_equal(upper, loaded.train.labels == 0)


def test_a_corrupt_zip_is_named(tmp_path):
    root = write(tmp_path / "set", COUNTS)
    path = zipped(root, tmp_path / "set.zip")
    content = path.read_bytes()
    for damaged in (b"", content[: len(content) // 2], b"no zip"):
        path.write_bytes(damaged)
        with pytest.raises(UserError, match=r"set\.zip is not a zip"):
            load(path)


@pytest.mark.parametrize("content", [b"", b"no image", "cut"])
def test_a_corrupt_image_is_named(tmp_path, content):
    root = write(tmp_path / "set", COUNTS)
    if content == "cut":
        buffer = io.BytesIO()
        noise = np.random.default_rng(0).integers(0, 256, (30, 30), np.uint8)
        Image.fromarray(noise).save(buffer, "png")
        content = buffer.getvalue()[:400]
    (root / "a/bad.png").write_bytes(content)
    for place in (root, zipped(root, tmp_path / "set.zip")):
        with pytest.raises(UserError, match=r"a/bad\.png, which cannot be read"):
            load(place)


def test_several_broken_images_are_named_at_once(tmp_path):
    root = write(tmp_path / "set", COUNTS)
    for i in range(12):
        (root / f"b/{i}.png").write_bytes(b"" if i else b"no image")
    for place in (root, zipped(root, tmp_path / "set.zip")):
        with pytest.raises(UserError, match="holds 12 files that cannot be read") as e:
            load(place)
        assert "b/0.png (it has the format of none)" in str(e.value)
        assert "b/1.png (it is empty)" in str(e.value) and "and 2 more" in str(e.value)
    stored = load(root, stream=True, test_fraction=0.5)
    with pytest.raises(UserError, match=r"files that cannot be read as images: b/"):
        np.asarray(stored.train.images)


@pytest.mark.parametrize("suffix", ["webp", "TIF", "ppm", "gif", "jp2", "tga", "Jpg"])
def test_every_suffix_that_pillow_reads_is_read(suffix, tmp_path):
    data = load(write(tmp_path / "set", COUNTS, suffix))
    assert len(data.train) + len(data.test) == 20 and not data.left_out


def test_what_is_left_out_is_counted(tmp_path):
    root = write(tmp_path / "set", COUNTS)
    (root / "a/notes.txt").touch()
    (root / "b/more.TXT").touch()
    (root / "Thumbs.db").touch()
    picture(0).save(root / "cover.png")
    (root / "a/.0.png").touch()
    (root / "a/gone.png").symlink_to("nothing")
    film = [picture(level) for level in (1, 2)]
    film[0].save(root / "a/film.gif", save_all=True, append_images=film[1:])
    data = load(root)
    assert data.summary()["left_out"] == {
        "pictures outside the class folders": {".png": 1},
        "pictures of which only the first frame or page is read": {".gif": 1},
        "files that are no pictures": {".txt": 2, ".db": 1},
        "links that lead nowhere": {"a/gone.png": 1},
        "hidden files and folders": 1,
    }
    assert "files that are no pictures: 3 (.txt 2, .db 1);" in data.describe()
    assert data.header()["left out"] == data.left_out
    assert list(load(write(tmp_path / "clean", COUNTS)).header()) == ["data"]


def test_names_are_the_same_in_either_form_of_unicode(tmp_path):
    composed, apart = "caf\u00e9", "cafe\u0301"
    root = tmp_path / "set"
    write(root / "train", {composed: 3, "dog": 2})
    write(root / "test", {apart: 1, "dog": 4})
    assert load(root).class_names == (composed, "dog")
    both = write(tmp_path / "both", {composed: 3, apart: 2, "dog": 2, "owl": 2})
    for given in (composed, apart):
        data = load(both, classes=(given, "dog"))
        assert data.class_names == (composed, "dog")
        assert len(data.train) + len(data.test) == 7


def test_names_that_are_no_utf8_become_escapes(tmp_path):
    name = os.fsdecode(b"Ren\xe9")
    for i in range(2):
        (tmp_path / name).mkdir(exist_ok=True)
        with open(tmp_path / name / f"{i}.png", "wb") as file:
            picture(i).save(file, "PNG")
    write(tmp_path, {"Ann": 2})
    for stream in (False, True):
        data = load(tmp_path, stream=stream)
        assert data.class_names == ("Ann", "Ren\\xe9")
    strange = tmp_path.rename(tmp_path.with_name(os.fsdecode(b"\xe9")))
    with open(strange / os.fsdecode(b"a.\xe9"), "wb"):
        data = load(strange)
    # A terminal and a file take it.
    assert data.describe().encode() and json.dumps(data.summary()).encode()


def test_a_test_folder_without_classes_is_left_out(tmp_path):
    root = tmp_path / "set"
    write(root / "Train", {"cat": 5, "dog": 5})
    write(root, {"test": 3})
    data = load(root)
    assert data.class_names == ("cat", "dog") and len(data.test) == 2
    assert "pictures outside the class folders: 3 (.png)" in data.describe()


def test_all_folders_around_the_classes_are_skipped(tmp_path):
    root = write(tmp_path / "set", COUNTS)
    path = zipped(root, tmp_path / "set.zip", "home/me/photos/")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("home/cover.png", b"")
    assert load(path).digest == load(root).digest
    assert "outside the class folders: 1" in load(path).describe()


def test_a_folder_without_classes_says_what_it_holds(tmp_path):
    for name in ("a.glasses", "b.happy", "c.happy"):
        (tmp_path / name).touch()
    with pytest.raises(UserError, match=r"no pictures: 3 \(\.happy 2, \.glasses 1\)"):
        load(tmp_path)


def test_all_images_of_the_classes_held_out_are_tested_on(tmp_path):
    root = write(tmp_path / "set", {name: 10 for name in "abcdefgh"})
    for held_out, stream in ((("c", "f"), False), (("c", "f"), True), (0.25, False)):
        data = load(root, held_out=held_out, stream=stream)
        assert (len(data.train), len(data.test)) == (60, 20)
        assert len(data.unseen) == 2 and data.open_set and not data.left_out
        if held_out == ("c", "f"):
            assert data.unseen == held_out
            tens = np.asarray(data.test.images)[:, 2, 2, 0] // 10
            np.testing.assert_array_equal(np.unique(tens), [2, 5])
    fewer = load(root, classes=("a", "b"), held_out="c")
    assert (len(fewer.train), len(fewer.test)) == (20, 10)
    drawn = [load(root, held_out=(0.25,), seed=seed).unseen for seed in range(4)]
    assert len(set(drawn)) > 1
    for held_out in (0.0, 1.5, float("nan"), 0.9):
        with pytest.raises(UserError, match=r"held_out (is|and|leave)|data\.held_out"):
            load(root, held_out=held_out)


def test_folders_that_are_no_data_set(tmp_path):
    with pytest.raises(UserError, match="does not exist"):
        load(tmp_path / "nothing")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"0 class\(es\)"):
        load(tmp_path / "empty")
    with pytest.raises(UserError, match=r"1 class\(es\)"):
        load(write(tmp_path / "one", {"a": 3}))
    root = write(tmp_path / "hole", COUNTS)
    (root / "void").mkdir()
    with pytest.raises(UserError, match="no image in the class folder 'void'"):
        load(root)
    with pytest.raises(UserError, match="no image in the class folder 'void'"):
        load(zipped(root, tmp_path / "hole.zip"))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"channels": 2}, "channels is 2"),
        ({"image_size": 0}, "image_size is 0"),
        ({"image_size": (3, 4, 5)}, "image_size is"),
        ({"image_size": 40_000}, "image_size is 40000"),
        ({"test_fraction": "x"}, "test_fraction='x'"),
        ({"test_fraction": 0.0}, "test_fraction=0.0"),
        ({"test_fraction": 1.5}, "test_fraction=1.5"),
        ({"test_fraction": float("nan")}, "test_fraction=nan"),
        ({"root": ""}, "give data.root=FOLDER or ZIP"),
        ({"channels": 0}, "channels is 0"),
        ({"seed": -1}, "seed=-1; expected"),
        ({"test_size": 1}, "option of data set 'image_folder': 'test_size'"),
    ],
)
def test_bad_options_get_a_sentence(tmp_path, options, sentence):
    root = write(tmp_path / "set", COUNTS)
    with pytest.raises(UserError, match=sentence):
        data.load("image_folder", **{"root": root, **options})
