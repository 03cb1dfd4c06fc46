"""Pictures of integer levels: their parts, levels and names, and what is refused."""

import numpy as np
import pytest
from PIL import Image

from nfml_jax.data.pixels import load_pixels, move
from nfml_jax.errors import UserError
from nfml_jax.ops.levels import as_levels, check_levels


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Twelve color pictures of 8×12 pixels in two folders, and one in none."""
    root = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    for i in range(13):
        place = root / "abx"[i % 3 if i < 12 else 2]
        place.mkdir(exist_ok=True)
        pixels = rng.integers(0, 256, (8, 12, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(place / f"{i}.png")
    (root / "note.txt").write_text("no picture")
    return root


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """Folders as BSDS300 has them, of 30 and 25 small photographs."""
    root = tmp_path_factory.mktemp("manual")
    rng = np.random.default_rng(0)
    for part, count in (("train", 30), ("test", 25)):
        place = root / "BSDS300/images" / part
        place.mkdir(parents=True)
        for i in range(count):
            shape = (40, 36, 3) if i % 2 else (36, 40, 3)
            pixels = rng.integers(0, 256, shape).astype(np.uint8)
            Image.fromarray(pixels).save(place / f"{i}.jpg")
    return root


def test_labeled_sets_keep_all_pictures_and_set_a_part_aside(manual_dir):
    options = {"source": "manual", "manual_dir": manual_dir, "validation": 100}
    with pytest.warns(UserWarning, match="mnist_custom"):
        data = load_pixels("mnist", **options)
        other = load_pixels("mnist", **options, seed=1)
    assert data.name == "mnist_custom" and data.levels == 256
    assert data.event_shape == (28, 28, 1)
    assert data.counts == {"train": 300, "validation": 100, "test": 200}
    assert data.train.dtype == np.uint8
    assert (np.bincount(data.labels["validation"]) == 10).all()
    np.testing.assert_array_equal(data.test, other.test)
    assert (data.train != other.train).any()
    assert "pictures 28×28×1 of 256 levels, 10 classes" in data.describe()
    assert data.summary()["levels"] == 256


def test_fewer_pictures_have_a_name_of_their_own(manual_dir):
    with pytest.warns(UserWarning, match="mnist_custom"):
        data = load_pixels(
            "mnist", source="manual", manual_dir=manual_dir, max_train=50, max_test=20
        )
    assert data.name == "mnist_custom_train50_test20"
    assert data.counts == {"train": 45, "validation": 5, "test": 20}


def test_digits_have_17_levels():
    data = load_pixels("digits")
    assert data.event_shape == (8, 8, 1) and data.levels == 17
    assert data.train.max() == 16 and sum(data.counts.values()) == 1797
    with pytest.raises(UserError, match="set levels to 17"):
        check_levels(data.train, 16)


def test_sums_over_blocks_are_exact_and_have_more_levels():
    plain, summed = load_pixels("digits"), load_pixels("digits", sum_blocks=4)
    assert summed.levels == 16 * 16 + 1 and summed.name == "digits_sum4"
    assert summed.train.dtype == np.uint16 and summed.event_shape == (2, 2, 1)
    x = plain.test[:, :4, 4:].astype(int).sum(axis=(1, 2))
    np.testing.assert_array_equal(summed.test[:, 0, 1], x)
    with pytest.raises(UserError, match="sum_blocks=3 doesn't divide"):
        load_pixels("digits", sum_blocks=3)


def test_twelve_bit_pictures(folder):
    data = load_pixels("image_folder", root=folder, sum_blocks=4, validation=0)
    assert data.levels == 4081 and data.event_shape == (2, 3, 3)
    assert data.train.dtype == np.uint16 and data.train.max() > 255


def test_a_folder_of_any_pictures(folder):
    data = load_pixels("image_folder", root=folder, validation=3)
    assert data.event_shape == (8, 12, 3)
    assert data.counts == {"train": 9, "validation": 3, "test": 1}
    assert "files that are no pictures" in data.describe()
    gray = load_pixels("image_folder", root=folder, channels=1, image_size="4x6")
    assert gray.event_shape == (4, 6, 1) and not gray.classes


def test_parts_of_a_folder_are_its_own(folder, tmp_path):
    for part, count in (("train", 4), ("test", 2), ("val", 3)):
        (tmp_path / part).mkdir()
        for i in range(count):
            Image.new("RGB", (5, 4), (i, 0, 0)).save(tmp_path / part / f"{i}.png")
    data = load_pixels("image_folder", root=tmp_path)
    assert data.counts == {"train": 4, "validation": 3, "test": 2}


def test_invalid_folders_get_a_sentence(folder, tmp_path):
    with pytest.raises(UserError, match=r"holds 0 picture\(s\); expected two"):
        load_pixels("image_folder", root=tmp_path)
    Image.new("RGB", (5, 4)).save(tmp_path / "a.png")
    Image.new("RGB", (5, 6)).save(tmp_path / "b.png")
    with pytest.raises(UserError, match=r"a.png of 4×5 and b.png of 6×5 pixels; set"):
        load_pixels("image_folder", root=tmp_path)
    with pytest.raises(UserError, match="channels is 2"):
        load_pixels("image_folder", root=folder, channels=2)
    with pytest.raises(UserError, match="root is empty"):
        load_pixels("image_folder")
    with pytest.raises(UserError, match="did you mean 'digits'"):
        load_pixels("digit")
    with pytest.raises(UserError, match="option of set 'digits': 'root'"):
        load_pixels("digits", root="a")
    with pytest.raises(UserError, match="validation is 2000"):
        load_pixels("digits", validation=2000)


@pytest.mark.parametrize(
    "option",
    [
        {"test_fraction": 0},
        {"test_fraction": "half"},
        {"test_fraction": None},
        {"image_size": True},
        {"image_size": 0},
        {"image_size": float("nan")},
        {"image_size": 100_000},
        {"sum_blocks": "2"},
    ],
)
def test_options_of_a_wrong_kind_are_refused(folder, option):
    (name,) = option
    with pytest.raises(UserError, match=name):
        load_pixels("image_folder", **{"root": folder, "image_size": 8} | option)


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_few_pictures_give_one_to_test_and_perhaps_one_to_validate(tmp_path, count):
    for i in range(count + 1):
        Image.new("L", (4, 4), i).save(tmp_path / f"{i}.png")
    found = load_pixels("image_folder", root=tmp_path).counts
    aside = int(count > 1)
    assert found == {"train": count - aside, "validation": aside, "test": 1}


def test_people_and_photographs_stay_together(tmp_path, photographs):
    for person in range(10):
        place = tmp_path / f"lfw/Name_{person}"
        place.mkdir(parents=True)
        for i in range(1, 4):
            pixels = np.full((20, 20), 20 * person + i, np.uint8)
            Image.fromarray(pixels).save(place / f"Name_{person}_{i:04}.png")
    data = load_pixels("lfw", manual_dir=tmp_path, image_size=8, validation=0.2)
    assert data.name == "lfw_faces_8" and data.event_shape == (8, 8, 1)
    assert data.counts == {"train": 21, "validation": 6, "test": 3}
    people = {part: set(x[:, 0, 0, 0] // 20) for part, x in data.parts.items()}
    assert not people["train"] & people["validation"]
    assert not people["train"] & people["test"]

    options = {"manual_dir": photographs, "train": 60, "test": 7, "image_size": 32}
    crops = load_pixels("bsds300_crops", validation=5, **options)
    assert crops.event_shape == (32, 32, 3)
    assert crops.counts == {"train": 50, "validation": 10, "test": 7}
    again = load_pixels("bsds300_crops", validation=0, **options)
    np.testing.assert_array_equal(crops.test, again.test)


def test_moves_keep_levels_and_follow_their_own_keys():
    import jax

    images = np.random.default_rng(0).integers(0, 4000, (6, 5, 7, 2)).astype(np.uint16)
    keys = jax.random.split(jax.random.key(0), 6)
    assert move(images, keys) is images
    moved = jax.jit(lambda x, k: move(x, k, shift=2, flip=True))(images, keys)
    assert moved.dtype == np.uint16 and moved.shape == images.shape
    found = set()
    for image, at in zip(images, moved, strict=True):
        wide = np.pad(image, [(2, 2), (2, 2), (0, 0)], mode="edge")
        for mirrored in (False, True):
            for row in range(5):
                for column in range(5):
                    part = wide[row : row + 5, column : column + 7]
                    if (at == (part[:, ::-1] if mirrored else part)).all():
                        found.add((row, column, mirrored))
    assert len(found) >= 4 and {mirrored for *_, mirrored in found} == {True, False}
    alone = move(images[3:4], keys[3:4], shift=2, flip=True)
    np.testing.assert_array_equal(alone[0], moved[3])
    with pytest.raises(UserError, match="shift=-1"):
        move(images, keys, shift=-1)


def test_levels_of_given_images():
    x = np.array([[[[0.0], [0.999]]]])
    np.testing.assert_array_equal(as_levels(x, 17).ravel(), [0, 16])
    assert as_levels(np.full((1, 1, 1, 1), 4000), 4096).dtype == np.uint16
    k = np.arange(256).reshape(1, 16, 16, 1)
    np.testing.assert_array_equal(as_levels((k / 256).astype(np.float32)), k)
    with pytest.raises(UserError, match=r"range from 0 to 1; expected \[0, 1\)"):
        as_levels(x / 0.999)
    with pytest.raises(UserError, match="image 0 has NaN"):
        as_levels(x * np.nan)
    with pytest.raises(UserError, match=r"shape \[1, 1, 2, 1\]; expected \[N, 1, 2, 3"):
        as_levels(x, 256, (1, 2, 3))
    with pytest.raises(UserError, match="range from -1 to -1"):
        as_levels(np.full((1, 1, 1, 1), -1))
