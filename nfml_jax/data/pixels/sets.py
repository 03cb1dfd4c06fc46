"""The loaders of pictures: functions of keyword arguments that return a set.

Each has the same training and test pictures for every seed.
"""

import io
from pathlib import Path

import numpy as np

from nfml_jax.data import load
from nfml_jax.data.class_folders import part_of
from nfml_jax.data.class_splits import set_classes_aside
from nfml_jax.data.decoding import upright
from nfml_jax.data.draws import stratified
from nfml_jax.data.file_names import readable
from nfml_jax.data.idx_copies import Places
from nfml_jax.data.lfw import find_root
from nfml_jax.data.look import Look
from nfml_jax.data.pixels.arrays import LoadedPixels, Pictures
from nfml_jax.data.trees import Tree, open_tree
from nfml_jax.data.unread import NO_PICTURES
from nfml_jax.data.vectors.patches import draw_crops, photographs
from nfml_jax.errors import UserError
from nfml_jax.ops.checks import WIDEST, check_integer, check_number

DIGITS_TEST = 360
"""The number of test digits, of the 1,797 of scikit-learn."""


def load_labeled(
    name: str, *, source="auto", manual_dir=None, data_dir=None
) -> LoadedPixels:
    """Return all labeled pictures of `nfml_jax.data.load(name)`, 256 levels."""
    data = load(name, source=source, manual_dir=manual_dir or None, data_dir=data_dir)
    return LoadedPixels(
        data.name,
        data.source,
        train=Pictures(data.train.images, data.train.labels),
        test=Pictures(data.test.images, data.test.labels),
        classes=data.class_names,
        unread=data.unread,
    )


def load_omniglot_drawings(
    *, source="auto", manual_dir=None, data_dir=None, image_size=28
) -> LoadedPixels:
    """Return Omniglot's drawings, averaged to `image_size`, ink 255 on 0.

    The background set is trained on and the evaluation set, of other alphabets, tested
    on. Groups are alphabets.
    """
    data = load(
        "omniglot",
        source=source,
        manual_dir=manual_dir or None,
        data_dir=data_dir,
        image_size=image_size,
    )
    groups = np.unique(data.train.about["alphabet"], return_inverse=True)[1]
    return LoadedPixels(
        f"{data.name}{_size(data.train.images)}",
        data.source,
        train=Pictures(data.train.images, groups=groups),
        test=Pictures(data.test.images),
    )


def load_faces(
    *,
    root="",
    manual_dir=None,
    image_size=32,
    channels: int = 1,
    crop: float = 1.0,
    test_fraction: float = 0.1,
) -> LoadedPixels:
    """Return the faces of LFW: `test_fraction` of the people are tested on.

    `root` and `crop` are those of `nfml_jax.data.lfw.load_lfw`. Groups are people.
    """
    look = Look.of(image_size, channels, crop)
    _check_fraction(test_fraction)
    root = (
        Path(root).expanduser() if str(root) else find_root(Places(manual_dir).manual)
    )
    with open_tree(root) as tree:
        paths = tree.pictures
        if not paths:
            raise UserError(f"{root} holds no picture; expected the tree of LFW.")
        people = np.array([path.parent.name for path in paths])
        names, groups = np.unique(people, return_inverse=True)
        kept, tested = set_classes_aside(
            names, test_fraction, 0, "people", "test_fraction"
        )
        images = tree.images(paths, look)
        unread = tree.unread
    every = Pictures(images, groups=groups)
    return LoadedPixels(
        f"lfw_faces{_size(images)}",
        root.name,
        train=every.take(np.flatnonzero(np.isin(groups, kept))),
        test=every.take(np.flatnonzero(np.isin(groups, tested))),
        unread=unread,
    )


def load_bsds300_crops(
    *,
    manual_dir=None,
    image_size: int = 32,
    train: int = 50_000,
    test: int = 10_000,
) -> LoadedPixels:
    """Return color crops of the photographs of BSDS300, drawn by a fixed seed.

    A stand-in for small natural images. Training crops are of the 200 training
    photographs, in equal numbers, and test crops of the 100 test ones. Groups are
    photographs.
    """
    check_integer("data", 1, WIDEST, train=train, test=test)
    check_integer("data", 1, 321, image_size=image_size)
    size = image_size, image_size
    rng = np.random.default_rng(0)
    images = photographs(manual_dir, "train", "RGB")
    groups = np.sort(np.arange(train) % len(images))
    counts = np.bincount(groups, minlength=len(images))
    crops = [
        draw_crops([image], size, n, rng)
        for image, n in zip(images, counts, strict=True)
    ]
    tested = draw_crops(photographs(manual_dir, "test", "RGB"), size, test, rng)
    return LoadedPixels(
        f"bsds300_crops_{image_size}",
        f"{len(images)} photographs of BSDS300",
        train=Pictures(np.concatenate(crops), groups=groups),
        test=Pictures(tested),
    )


def load_digits() -> LoadedPixels:
    """Return the 1,797 digits of scikit-learn: 8×8 pixels of 17 levels."""
    from sklearn import datasets

    pixels, labels = datasets.load_digits(return_X_y=True)
    images = np.asarray(pixels, np.uint8).reshape(-1, 8, 8, 1)
    labels = np.asarray(labels, np.int32)
    every = Pictures(images, labels)
    tested, kept = stratified(labels, DIGITS_TEST, 0)
    return LoadedPixels(
        "digits",
        "scikit-learn",
        train=every.take(kept),
        test=every.take(tested),
        levels=17,
        classes=tuple("0123456789"),
    )


def load_picture_folder(
    *,
    root="",
    image_size=None,
    channels: int = 3,
    fit: str = "crop",
    crop: float = 1.0,
    test_fraction: float = 0.1,
) -> LoadedPixels:
    """Return all pictures of a folder, zip or tar, with those of its subfolders.

    Those below a folder `test`, if there is one, are tested on, and those below `val`
    or `validation` validated on; otherwise `test_fraction` of them are drawn.
    `image_size` None takes pictures as they are, which must have one size; `fit` is
    that of `nfml_jax.data.image_folder.load_image_folder`.
    """
    if not str(root):
        raise UserError("root is empty; give data.root=FOLDER or ZIP.")
    _check_fraction(test_fraction)
    root = Path(root).expanduser()
    with open_tree(root) as tree:
        paths = tree.pictures
        tree.unread.add_suffixes(NO_PICTURES, tree.others)
        if len(paths) < 2:
            words = tree.unread.words()
            raise UserError(
                f"{root} holds {len(paths)} picture(s)"
                f"{f' ({words})' if words else ''}; expected two or more."
            )
        if image_size is None:
            image_size = _one_size(tree, paths)
        images = tree.images(paths, Look.of(image_size, channels, crop, fit))
        unread = tree.unread
    every = Pictures(images)
    parts = [next(filter(None, map(part_of, p.parts[:-1])), "train") for p in paths]
    rows = {p: np.flatnonzero(np.array(parts) == p) for p in ("validation", "test")}
    train = np.flatnonzero(np.array(parts) == "train")
    if not len(rows["test"]):
        drawn, test = set_classes_aside(
            np.arange(len(train)), test_fraction, 0, "pictures", "test_fraction"
        )
        train, rows["test"] = train[drawn], train[test]
    validation = every.take(rows["validation"]) if len(rows["validation"]) else None
    return LoadedPixels(
        f"image_folder:{readable(root.stem)}",
        "zip of pictures" if root.is_file() else "folder of pictures",
        train=every.take(train),
        test=every.take(rows["test"]),
        validation=validation,
        unread=unread,
    )


def _check_fraction(test_fraction) -> None:
    check_number("data", above=0, below=1, test_fraction=test_fraction)


def _size(images) -> str:
    """Return "_28" for square images of 28 pixels, "_28x30" for others."""
    height, width = images.shape[1:3]
    return f"_{height}" if height == width else f"_{height}x{width}"


def _one_size(tree: Tree, paths) -> tuple[int, int]:
    """Return the height and width that all pictures have."""
    from PIL import Image

    first = None
    for path in paths:
        try:
            image = upright(Image.open(io.BytesIO(tree.read(path))))
        except Exception:  # PIL raises many kinds; decoding names the file
            continue
        width, height = image.size
        first = first or (path, height, width)
        if first[1:] != (height, width):
            raise UserError(
                f"{tree.root} holds pictures of different sizes, such as {first[0]} of "
                f"{first[1]}×{first[2]} and {path} of {height}×{width} pixels; set "
                "data.image_size."
            )
    return first[1:] if first else (1, 1)
