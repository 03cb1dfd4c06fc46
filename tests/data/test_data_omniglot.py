"""Omniglot is the same from zips, folders and arrays, and its classes never mix."""

import csv
import io
import zipfile

import numpy as np
import pytest
from PIL import Image

from nfml_jax import data
from nfml_jax.data import omniglot_files
from nfml_jax.data.download import DownloadError
from nfml_jax.data.omniglot import load_omniglot_runs
from nfml_jax.errors import UserError

DRAWERS, SIDE = 4, 9
# Alphabets in the order of file numbers, which isn't the names'.
BACKGROUND = {"Tagalog": 3, "Greek": 5, "Latin": 4, "Balinese": 2}
EVALUATION = {"Oriya": 3, "Angelic": 4}

pytestmark = pytest.mark.filterwarnings("ignore:.*reported for omniglot_")


def paper(alphabets, seed):
    """True where there is paper, [characters, drawers, SIDE, SIDE], and their names."""
    names = [
        f"{a}/character{i:02d}" for a, n in alphabets.items() for i in range(1, n + 1)
    ]
    rng = np.random.default_rng(seed)
    return rng.random((len(names), DRAWERS, SIDE, SIDE)) < 0.8, names


def png(pixels):
    buffer = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8) * 255).convert("1").save(buffer, "png")
    return buffer.getvalue()


def write_zip(path, alphabets, seed):
    pixels, names = paper(alphabets, seed)
    with zipfile.ZipFile(path, "w") as archive:
        for i, name in enumerate(names):
            for d in range(DRAWERS):
                file = f"{path.stem}/{name}/{i + 1:04d}_{d + 1:02d}.png"
                archive.writestr(file, png(pixels[i, d]))


def write_npz(folder, sets):
    rows = []
    for name, (alphabets, seed) in sets.items():
        pixels, names = paper(alphabets, seed)
        np.savez(folder / f"omniglot_images_{name}.npz", images=pixels)
        rows += [(name, row, *n.split("/")) for row, n in enumerate(names)]
    with (folder / "omniglot_characters.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("set", "row_in_npz", "alphabet", "character"))
        writer.writerows(rows)


@pytest.fixture(scope="module")
def zips(tmp_path_factory):
    folder = tmp_path_factory.mktemp("zips")
    (folder / "omniglot").mkdir()
    write_zip(folder / "omniglot/images_background.zip", BACKGROUND, 0)
    write_zip(folder / "omniglot/images_evaluation.zip", EVALUATION, 1)
    write_zip(folder / "omniglot_images_background_small1.zip", {"Latin": 4}, 2)
    return folder


def load(folder, **options):
    options = {"source": "manual", "image_size": SIDE, **options}
    return data.load("omniglot", manual_dir=folder, **options)


def test_zips_folders_and_arrays_are_the_same_drawings(zips, tmp_path):
    sets = {"background": (BACKGROUND, 0), "evaluation": (EVALUATION, 1)}
    (tmp_path / "arrays").mkdir()
    write_npz(tmp_path / "arrays", sets)
    for name in sets:
        with zipfile.ZipFile(zips / f"omniglot/images_{name}.zip") as archive:
            archive.extractall(tmp_path / "folders")
    loaded = load(zips)
    assert loaded.name == "omniglot_background_custom"
    assert loaded.counts == {"train": 14 * 4, "validation": 0, "test": 7 * 4}
    for size in (SIDE, 5):
        digests = {
            load(folder, image_size=size).digest
            for folder in (zips, tmp_path / "arrays", tmp_path / "folders")
        }
        assert len(digests) == 1
    # Ink is 255, and each drawing is its character's and drawer's.
    pixels, names = paper(BACKGROUND, 0)
    train = loaded.train
    for image, label, drawer, alphabet in zip(
        train.images,
        train.labels,
        train.about["drawer"],
        train.about["alphabet"],
        strict=True,
    ):
        name = loaded.class_names[label]
        expected = ~pixels[names.index(name), drawer - 1]
        np.testing.assert_array_equal(image[..., 0], expected * 255)
        assert alphabet == name.split("/")[0]


@pytest.mark.parametrize("split", ["background", "small1", "vinyals", "characters"])
def test_no_class_is_in_two_parts(zips, split):
    loaded = load(zips, split=split, validation=0 if split == "small1" else 2, seed=3)
    parts = [p for p in (loaded.train, loaded.validation, loaded.test) if p is not None]
    labels = [set(part.labels) for part in parts]
    names = loaded.label_names
    assert sum(map(len, labels)) == len(set().union(*labels)) == len(names)
    assert labels[0] == set(range(loaded.num_classes)) and loaded.open_set
    if split in ("vinyals", "characters"):
        assert len(labels[2]) == 21 - round(21 * 1200 / 1623) and len(labels[1]) == 2
        if split == "vinyals":
            tested = sorted(names[label] for label in labels[2])
            assert tested == sorted(paper(EVALUATION, 1)[1])[2:]
        return
    # By alphabet.
    alphabets = [{names[label].split("/")[0] for label in part} for part in labels]
    assert alphabets[-1] == set(EVALUATION)
    assert sum(map(len, alphabets)) == len(set().union(*alphabets))
    if split == "background":
        assert len(alphabets[1]) == 2


def test_rotations_are_classes_of_their_own(zips):
    plain = load(zips, validation=1)
    turned = load(zips, validation=1, rotations=True)
    assert turned.num_classes == 4 * plain.num_classes
    assert len(turned.unseen) == 4 * len(plain.unseen)
    for part in ("train", "validation", "test"):
        one, four = getattr(plain, part), getattr(turned, part)
        assert len(four) == 4 * len(one)
        for t in range(4):
            rows = slice(t * len(one), (t + 1) * len(one))
            np.testing.assert_array_equal(
                four.images[rows], np.rot90(one.images, t, (1, 2))
            )
            for label, before in zip(four.labels[rows], one.labels, strict=True):
                expected = f"{plain.label_names[before]}/rot{90 * t:03d}"
                assert turned.label_names[label] == expected
            for name, facts in one.about.items():
                np.testing.assert_array_equal(four.about[name][rows], facts)


def test_shrinking_takes_complete_characters(zips):
    loaded = load(zips, max_train=13, max_test=1)
    assert (loaded.num_classes, len(loaded.unseen)) == (3, 2)
    for part in (loaded.train, loaded.test):
        assert set(np.unique(part.labels, return_counts=True)[1]) == {DRAWERS}


@pytest.mark.parametrize("prefix", ["", "all_runs/"])
def test_a_run_asks_for_the_class_of_each_item(tmp_path, prefix):
    rng = np.random.default_rng(0)
    answers = [rng.permutation(3) for _ in range(2)]
    with zipfile.ZipFile(tmp_path / "omniglot_all_runs.zip", "w") as archive:
        for run, answer in enumerate(answers, 1):
            lines = []
            for i, a in enumerate(answer):
                pixels = np.ones((SIDE, SIDE), bool)
                pixels[a, run] = False
                item, class_ = (
                    f"run0{run}/test/item{i}.png",
                    f"run0{run}/training/class{a}.png",
                )
                archive.writestr(prefix + item, png(pixels))
                archive.writestr(prefix + class_, png(pixels))
                lines.append(f"{item} {class_}")
            archive.writestr(f"{prefix}run0{run}/class_labels.txt", "\n".join(lines))
    runs = load_omniglot_runs(source="manual", manual_dir=tmp_path, image_size=SIDE)
    np.testing.assert_array_equal(runs.answers, answers)
    assert runs.support.shape == runs.query.shape == (2, 3, SIDE, SIDE, 1)
    for support, query, answer in zip(runs.support, runs.query, answers, strict=True):
        np.testing.assert_array_equal(support[answer], query)
        assert (support == 255).sum() == 3


def test_invalid_options_and_files_get_a_sentence(zips, tmp_path, monkeypatch):
    def unreachable(url):
        raise DownloadError(f"{url} cannot be reached")

    monkeypatch.setattr(omniglot_files, "check_connection", unreachable)
    empty = tmp_path / "empty"
    empty.mkdir()
    for source in ("manual", "auto"):
        with pytest.raises(UserError, match=r"images_background\.zip is unavailable"):
            load(empty, source=source, data_dir=tmp_path)
    for options, sentence in (
        ({"source": "tfds"}, "source 'tfds' is unknown"),
        ({"split": "lake"}, r"data\.split 'lake' is not known"),
        ({"image_size": (9, 8), "rotations": True}, "rotations take square"),
        ({"validation": 4}, "validation is 4; of 4 alphabets"),
        (
            {"held_out": ["Latin/character01"]},
            "that it doesn.t train on already",
        ),
    ):
        with pytest.raises(UserError, match=sentence):
            load(zips, **options)

    content = (zips / "omniglot/images_evaluation.zip").read_bytes()
    (empty / "images_background.zip").write_bytes(content)
    cut = bytearray(content)
    cut[200:230] = bytes(30)
    for damaged, sentence in (
        (content[:-300], "is not a zip that can be read"),
        (bytes(cut), "cannot be read as an image"),
    ):
        (empty / "images_evaluation.zip").write_bytes(damaged)
        with pytest.raises(UserError, match=sentence):
            load(empty)
    with zipfile.ZipFile(empty / "images_evaluation.zip", "w") as archive:
        archive.writestr("images_evaluation/Oriya/character01/drawing.png", b"")
    with pytest.raises(UserError, match="expected ALPHABET/CHARACTER"):
        load(empty)

    (empty / "images_evaluation.zip").unlink()
    write_npz(empty, {"evaluation": (EVALUATION, 1)})
    (empty / "omniglot_characters.csv").write_text("set,row_in_npz\n")
    with pytest.raises(UserError, match=r"characters\.csv names 0 characters"):
        load(empty)
    (empty / "omniglot_characters.csv").unlink()
    with pytest.raises(UserError, match=r"characters\.csv beside it cannot be read"):
        load(empty)
    with zipfile.ZipFile(empty / "all_runs.zip", "w") as archive:
        archive.writestr("readme.txt", "")
    with pytest.raises(UserError, match="has 0 runs"):
        load_omniglot_runs(source="manual", manual_dir=empty)
